// The picture: the image, the segmentation over it on the right of the handle, the scale bar.

const $ = (id) => document.getElementById(id);
const stage = $("stage"), picture = $("picture"), image = $("image"), mask = $("mask");
const swipe = $("swipe"), scale = $("scale");

let size = [1, 1];      // pixels of the file, width and height
let micrometres = null; // along x
let place = 50;         // of the handle, per cent of the stage
let zoom = "fit";

/** Shows a bitmap of an image of `width` x `height` pixels, its own perhaps fewer. */
export function show(bitmap, width, height, pixel) {
  size = [width, height];
  micrometres = pixel ? pixel[pixel.length - 1] : null;
  for (const canvas of [image, mask]) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  image.getContext("2d").drawImage(bitmap, 0, 0);
  stage.hidden = false;
  $("empty").hidden = true;
  arrange();
}

/** No segmentation to see. */
export function bare() {
  mask.getContext("2d").clearRect(0, 0, mask.width, mask.height);
  swipe.hidden = true;
}

/**
 * Paints a map of classes, 0 nothing: contours in full colour, the inside at `opacity`; returns how
 * many pixels are not 0.
 */
export function paint(classes, colours, opacity) {
  const [width, height] = [mask.width, mask.height];
  const drawn = new ImageData(width, height);
  const rgba = new Uint32Array(drawn.data.buffer);
  const little = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  const packed = (alpha) => colours.map(([r, g, b]) =>
    little ? ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0 : ((r << 24) | (g << 16) | (b << 8) | alpha) >>> 0);
  const line = packed(255), fill = packed(Math.round(opacity * 255));
  const thick = Math.max(1, Math.round(width / Math.max(1, picture.clientWidth)));
  let count = 0;
  for (let y = 0, i = 0; y < height; y++) {
    const up = y >= thick ? thick * width : 0, down = y + thick < height ? thick * width : 0;
    for (let x = 0; x < width; x++, i++) {
      const c = classes[i];
      if (c === 0) continue;
      count++;
      const left = x >= thick ? thick : 0, right = x + thick < width ? thick : 0;
      const edge = classes[i - up] !== c || classes[i + down] !== c || classes[i - left] !== c || classes[i + right] !== c;
      rgba[i] = (edge ? line : fill)[(c - 1) % colours.length];
    }
  }
  mask.getContext("2d").putImageData(drawn, 0, 0);
  swipe.hidden = false;
  arrange();
  return count;
}

/** "fit", or pixels of the screen for one of the file; what was in the middle stays there. */
export function enlarge(value) {
  const across = (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth;
  const down = (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight;
  zoom = value;
  arrange();
  stage.scrollLeft = across * stage.scrollWidth - stage.clientWidth / 2;
  stage.scrollTop = down * stage.scrollHeight - stage.clientHeight / 2;
}

/** The pixel (x, y) of the file under a pointer, null beside the image. */
export function under(event) {
  const box = picture.getBoundingClientRect();
  const x = Math.floor((event.clientX - box.left) / box.width * size[0]);
  const y = Math.floor((event.clientY - box.top) / box.height * size[1]);
  return x >= 0 && y >= 0 && x < size[0] && y < size[1] ? [x, y] : null;
}

/** Sizes, clips and places everything anew. */
function arrange() {
  const fit = Math.min(stage.clientWidth / size[0], stage.clientHeight / size[1]);
  const factor = zoom === "fit" ? fit : Number(zoom) / (window.devicePixelRatio || 1);
  picture.style.width = `${size[0] * factor}px`;
  picture.style.height = `${size[1] * factor}px`;
  picture.classList.toggle("pixels", factor * (window.devicePixelRatio || 1) >= 2);
  bar(factor);
  clip();
}

function clip() {
  const at = stage.clientWidth * place / 100;
  swipe.style.left = `${at}px`;
  const box = picture.getBoundingClientRect(), frame = stage.getBoundingClientRect();
  const cut = Math.min(Math.max(at - (box.left - frame.left), 0), picture.clientWidth);
  scale.style.left = `${Math.max(box.left - frame.left, 0) + 16}px`;
  const rail = stage.offsetHeight - stage.clientHeight; // of a scroll bar
  scale.style.bottom = `${Math.max(frame.bottom - box.bottom, rail) + 16}px`;
  mask.style.clipPath = `inset(0 0 0 ${cut}px)`;
  swipe.setAttribute("aria-valuenow", Math.round(place));
  swipe.setAttribute("aria-valuetext", `image up to ${Math.round(place)} %, segmentation beyond`);
}

/** A bar of a round length, a fifth of the stage at most. */
function bar(factor) {
  scale.hidden = !micrometres;
  if (!micrometres) return;
  const goal = Math.min(stage.clientWidth, size[0] * factor) / 4 / factor * micrometres;
  const power = 10 ** Math.floor(Math.log10(goal));
  const length = [5, 2, 1].find((step) => step * power <= goal) * power;
  scale.style.width = `${length / micrometres * factor}px`;
  scale.firstElementChild.textContent =
    length < 1 ? `${+(length * 1000).toPrecision(3)} nm` : `${+length.toPrecision(3)} µm`;
}

function move(to) {
  place = Math.min(100, Math.max(0, to));
  clip();
}

swipe.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  move(place + steps[event.key]);
});
swipe.addEventListener("pointerdown", (event) => {
  swipe.setPointerCapture(event.pointerId);
  swipe.focus();
  event.preventDefault();
});
swipe.addEventListener("pointermove", (event) => {
  if (!swipe.hasPointerCapture(event.pointerId)) return;
  const box = stage.getBoundingClientRect();
  move((event.clientX - box.left) / box.width * 100);
});
stage.addEventListener("scroll", clip);
new ResizeObserver(arrange).observe(stage);
