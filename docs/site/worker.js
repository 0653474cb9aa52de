// Draws for the page "Try it", in a thread of its own, so that the page never waits. The last request wins.
import { drawScales, openModel, start, toPixels } from "./singan.js";

const models = {};                               // by name, each opened once
const pause = () => new Promise((done) => setTimeout(done));   // lets newer requests in
let request = null, busy = false;

start();                                         // the runtime is fetched while the page asks which models there are

async function answer({ number, about, seed, startScale, size }) {
  models[about.name] ??= openModel(about);
  for await (const { scale, image, drawn } of drawScales(models[about.name], seed, startScale, size)) {
    postMessage({ number, scale, drawn, done: scale === about.sizes.length - 1, pixels: toPixels(image) });
    await pause();
    if (request !== null) return;                // a newer one: the finer scales are not wanted any more
  }
}

self.onmessage = async ({ data }) => {
  request = data;
  if (busy) return;
  busy = true;
  while (request !== null) {
    const now = request;
    request = null;
    try { await answer(now); } catch (error) { postMessage({ number: now.number, error: error.message }); }
  }
  busy = false;
};
