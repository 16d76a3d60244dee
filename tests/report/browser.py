"""A page opened in a headless browser, with a script in it that looks at it as a reader would."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from components import missing

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def inspect(page: Path, script: Path) -> dict[str, Any]:
    """What a script, which leaves it in the document's title as JSON, finds in a page opened from its file.

    No address can be reached but that of the file.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        missing(f"a browser ({', '.join(BROWSERS)})")
    inspected = page.with_name(f"inspected-{page.name}")
    scripts = Path(__file__).with_name("looking.js").read_text() + script.read_text()
    inspected.write_text(page.read_text().replace("<head>", f"<head><script>{scripts}</script>", 1))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1600,1000", "--virtual-time-budget=60000"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={page.parent / 'browser'}"]
    command = [browser, *options, "--dump-dom", inspected.as_uri()]
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    title = re.search("<title>(.*?)</title>", done.stdout.decode(), re.S)
    assert title is not None
    found: dict[str, Any] = json.loads(html.unescape(title[1]))
    return found
