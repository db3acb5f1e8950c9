"""Pictures of the page of `demitasse serve`, of the model and the image that `make demo` leaves.

serve.png and serve-dark.png.  Needs Chromium, its driver and selenium.
"""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

VIEWS = {  # width, height, dark
    "serve": (1280, 800, False),
    "serve-dark": (1280, 800, True),
}


def draw(folder: Path) -> None:
    model, image = Path("demo/unet-small.h5"), Path("demo/image.tif")
    command = [sys.executable, "tools/serve.py", "--no-browser", "--weights", str(model)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        for name, (width, height, dark) in VIEWS.items():
            picture(url, image, folder / f"{name}.png", width, height, dark)
    finally:
        server.terminate()
        server.wait()


def picture(url: str, image: Path, target: Path, width: int, height: int, dark: bool) -> None:
    """Choose an image, wait until it is segmented, and take a picture of the page."""
    import PIL.Image
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    try:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        driver.get(url)
        driver.find_element(By.ID, "file").send_keys(str(image.resolve()))
        end = time.monotonic() + 120
        while not driver.find_element(By.ID, "save").is_displayed():
            assert time.monotonic() < end, "the image was not segmented in two minutes"
            time.sleep(0.1)
        time.sleep(0.5)
        shot = PIL.Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
        shot.quantize(80).save(target, optimize=True)
        driver.find_element(By.CSS_SELECTOR, ".remove").click()
    finally:
        driver.quit()
