"""Tokens of further issuers, each told by its fixed first part. Source: their documentation."""

import re

from loray.data.steps.credentials_formats import END, START, is_token
from loray.data.steps.placeholders import Entity, folded, starts

_FORMS = {
    "hvs.": r"hv[sbr]\.[A-Za-z0-9_-]{24,200}",  # HashiCorp Vault
    "dop_v0_": r"do[opr]_v1_[0-9a-f]{64}",  # DigitalOcean
    "doo_v0_": "",
    "shp": r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",  # Shopify
    "sq0": r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,43}",  # Square
    "key-": r"key-[0-9a-f]{32}",  # Mailgun
    "dapi": r"dapi[0-9a-f]{32}(?:-[0-9])?",  # Databricks
    "lin_": r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}",  # Linear
    "ntn_": r"ntn_[A-Za-z0-9]{40,50}",  # Notion
    "secret_": r"secret_[A-Za-z0-9]{43}",  # Notion, before 2024
    "pmak-": r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",  # Postman
    "glc_": r"gl(?:c|sa)_[A-Za-z0-9+/_]{32,200}={0,2}",  # Grafana
    "glsa_": "",
    "dckr_": r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,40}",  # Docker Hub
    "atatt0": r"ATATT3x[A-Za-z0-9_=-]{100,250}",  # Atlassian
    "gsk_": r"gsk_[A-Za-z0-9]{48,60}",  # Groq
    "r0_": r"r8_[A-Za-z0-9]{37,40}",  # Replicate
    "xai-": r"xai-[A-Za-z0-9]{70,90}",  # xAI
    "sk-or-": r"sk-or-v1-[0-9a-f]{64}",  # OpenRouter
    "pplx-": r"pplx-[A-Za-z0-9]{40,60}",  # Perplexity
    "dp.": r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9.]{40,60}",  # Doppler
    "pscale_": r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,64}",  # PlanetScale
    "nrak-": r"NRAK-[A-Z0-9]{27}",  # New Relic
    "sntry": r"sntry[su]_[A-Za-z0-9+/=_]{40,250}",  # Sentry
    "rubygems_": r"rubygems_[0-9a-f]{48}",
    "age-secret": r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    "eaac": r"EAAC[A-Za-z0-9]{60,250}",  # Facebook
    "oy0": r"oy2[a-z0-9]{43}",  # NuGet
    "figd_": r"figd_[A-Za-z0-9_-]{38,44}",  # Figma
    "sbp_": r"sbp_[0-9a-f]{40}",  # Supabase
    "tskey-": r"tskey-[a-z]{3,10}-[A-Za-z0-9]{10,20}-[A-Za-z0-9]{20,40}",  # Tailscale
    "pul-": r"pul-[0-9a-f]{40}",  # Pulumi
}
"""A hint and a form for each; an empty form shares that of the line above."""
_INSIDE = {
    ".atlasv0.": r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,80}",  # Terraform Cloud
    "-us0": r"[0-9a-f]{32}-us[0-9]{1,2}",  # Mailchimp
    ":aa": r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",  # Telegram bots
}
"""Likewise, where what is fixed is not at the start."""
VENDORS = (
    Entity(
        "vendor",
        "SECRET_VENDOR",
        (*starts(*_FORMS), *folded(*_INSIDE)),
        re.compile(
            f"{START}(?:{'|'.join(filter(None, [*_FORMS.values(), *_INSIDE.values()]))}){END}"
        ),
        is_token,
    ),
)
