from pathlib import Path

import pytest

TOKEN = "canary-of-the-token-that-nobody-may-print"


@pytest.fixture
def launch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `ray up` is run: a home with a token, a folder with a wheel; the real home unseen."""
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text(TOKEN, encoding="utf-8")
    for folder in ("dist", "serve_apps", "configs", "models", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dist" / "loray-0-py3-none-any.whl").write_bytes(b"a wheel")
    (tmp_path / "dist" / "constraints.txt").write_text("", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_UP_enable_autoscaler_v2", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path
