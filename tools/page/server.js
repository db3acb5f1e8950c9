// What the page asks of the server it came from: addresses are relative, so they keep the token.

/** An answer as JSON; an Error in the server's words where it refuses. */
async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer: has it ended?");
  }
  return answered(answer.ok, await answer.text());
}

function answered(ok, text) {
  let content = {};
  try {
    content = JSON.parse(text);
  } catch {
    ok = false;
  }
  if (!ok) throw new Error(content.error ?? "The server failed; its terminal says more.");
  return content;
}

export const model = () => asked("model");
export const state = (id) => asked(`images/${id}`);
export const forget = (id) => asked(`images/${id}`, { method: "DELETE" });

/** Sends a file; told(share) as it goes; `signal` ends it. */
export function send(file, told, signal) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `images?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => told(event.loaded / event.total);
    request.onerror = () => failed(new Error(`${file.name}: could not be sent to the server.`));
    request.onabort = () => failed(new DOMException("cancelled", "AbortError"));
    request.onload = () => {
      try {
        done(answered(request.status < 400, request.responseText));
      } catch (error) {
        failed(error);
      }
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

/** A page of an image as a bitmap. */
export async function picture(id, page) {
  const answer = await fetch(`images/${id}/${page}.png`);
  if (!answer.ok) answered(false, await answer.text());
  return createImageBitmap(await answer.blob());
}

/** The classes of a page, or the probability of one class: a byte a pixel. */
export async function bytes(id, page, kind) {
  const answer = await fetch(`images/${id}/${page}.${kind === null ? "labels" : `${kind}.prob`}`);
  if (!answer.ok) answered(false, await answer.text());
  return new Uint8Array(await answer.arrayBuffer());
}

/** Where a result lies; kind and threshold: of another map than that of the greatest probability. */
export function address(id, name, kind, threshold) {
  const query = threshold === null ? "" : `?class=${kind}&threshold=${threshold}`;
  return `images/${id}/${name}${query}`;
}
