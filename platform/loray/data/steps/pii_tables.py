"""Public registers behind the checks of `pii`."""

_COUNTRY_CODES = """
    1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63
    64 65 66 81 82 84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227
    228 229 230 231 232 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 248 249 250 251
    252 253 254 255 256 257 258 260 261 262 263 264 265 266 267 268 269 290 291 297 298 299 350 351
    352 353 354 355 356 357 358 359 370 371 372 373 374 375 376 377 378 380 381 382 383 385 386 387
    389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593 594 595 596 597 598 599
    670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692 850 852 853
    855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994
    995 996 998
"""
COUNTRY_CODES = frozenset(_COUNTRY_CODES.split())
"""Source: ITU-T E.164, list of assigned country codes."""

FREEPHONE = ("0800", "0808", "0805", "00800", "1800", "1300")
"""How national numbers begin that are free to call: hotlines of companies, published by them."""

CARD_BRANDS = (
    (("4",), (16, 19)),
    (("51", "52", "53", "54", "55", *map(str, range(2221, 2721))), (16,)),
    (("34", "37"), (15,)),
    (("6011", "65", *map(str, range(644, 650))), (16, 19)),
    (tuple(map(str, range(3528, 3590))), (16,)),
    (("36", "38", "39", *map(str, range(300, 306))), (14,)),
    (("62",), (16, 17, 18, 19)),
)
"""First digits and lengths: Visa, Mastercard, American Express, Discover, JCB, Diners, UnionPay.

Visa's old 13 digits are left out: article numbers (EAN-13) have as many, and one in ten is sound.
"""

_IBAN_LENGTHS = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
    DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23
    IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27
    MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19
    SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
"""
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_LENGTHS.split()}
"""Characters of an IBAN by country. Source: SWIFT, IBAN registry."""

DUMMY_SSN = frozenset(
    {"078051120", "219099999", "457555462", "123456789", *(str(d) * 9 for d in range(10))}
)
"""Printed in advertisements and forms, and so nobody's. Source: SSA history page on 078-05-1120."""

_PUBLIC_IPS = """
    1.0.0.1 8.8.4.4 9.9.9.10 149.112.112.112 208.67.222.222 208.67.220.220 4.2.2.1 4.2.2.2
    64.6.64.6 94.140.14.14 94.140.15.15 2001:4860:4860::8888 2001:4860:4860::8844
    2606:4700:4700::1111 2606:4700:4700::1001 2620:fe::fe 2620:fe::9 2620:119:35::35
    12.34.56.78 123.45.67.89 98.76.54.32 11.22.33.44
"""
PUBLIC_IPS = frozenset(_PUBLIC_IPS.split())
"""Name servers for everybody: Cloudflare, Google, Quad9, OpenDNS, Level 3, Verisign, AdGuard.

The last line holds those of tutorials.
"""
