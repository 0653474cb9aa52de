// A SinGAN in the browser: noise, sizes, and a model that draws. The lesson is nbs/practice/29_onnx.ipynb;
// portableNoise, noises and draw give what portable_noise, page_noises and page_sample give in Python.
import * as ort from "./vendor/onnxruntime-web/ort.wasm.bundle.min.mjs";

const scramble = (x) => {                        // a permutation of the 32-bit numbers (MurmurHash3's last step)
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
};

export function portableNoise(seed, scale, count) {   // nearly normal: twelve 16-bit numbers, added
  const stream = scramble(seed ^ scramble(scale + 1)), values = new Float32Array(count);
  for (let i = 0, counter = 0; i < count; i++) {
    let total = 0;
    for (let j = 0; j < 6; j++) {
      const word = scramble((stream + counter++) >>> 0);
      total += (word & 0xffff) + (word >>> 16);
    }
    values[i] = (total - 6 * 65535) / 65536;
  }
  return values;
}

const roundHalfEven = (x) => Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);   // as Python rounds

export function sizesFor(about, size) {          // [height, width] of every scale for an output of any size
  const [h, w] = about.sizes.at(-1);
  return [...about.sizes.slice(0, -1).map(([a, b]) =>
    [Math.max(1, roundHalfEven(a * size[0] / h)), Math.max(1, roundHalfEven(b * size[1] / w))]), size];
}

export function noises(about, sizes, seed, startScale) {   // one tensor for each scale, zero below the start scale
  return sizes.map(([h, w], k) => {
    let values = new Float32Array(3 * h * w);
    if (k >= startScale) {
      const grey = about.grey_noise && k === 0, drawn = portableNoise(seed, k, (grey ? 1 : 3) * h * w);
      for (let start = 0; start < values.length; start += drawn.length) values.set(drawn, start);
    }
    return new ort.Tensor("float32", values, [1, 3, h, w]);
  });
}

async function bytes(url) {                      // of a file, unpacked if it is packed with gzip
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${url}: ${reply.status} ${reply.statusText}`);
  const data = new Uint8Array(await reply.arrayBuffer());
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  const unpacked = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

const here = (name) => new URL(name, import.meta.url).href;
let runtime = null;

function start() {                               // the runtime is fetched once
  runtime ??= bytes(here("vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz")).then((binary) => {
    ort.env.wasm.wasmBinary = binary.buffer;
    ort.env.wasm.numThreads = 1;                 // more need headers that GitHub Pages does not send
  });
  return runtime;
}

export async function load(about) {              // a session, from an entry of models.json
  await start();
  const session = await ort.InferenceSession.create(await bytes(here(about.file)), { executionProviders: ["wasm"] });
  await draw(session, about, 0, 0, about.sizes[0]);   // a small one: the first run prepares the runtime
  return session;
}

export async function draw(session, about, seed, startScale, size) {   // {data in [-1, 1], dims [1, 3, H, W]}
  const inputs = { reconstruct: new ort.Tensor("float32", [startScale > 0 ? 1 : 0], []) };
  noises(about, sizesFor(about, size), seed, startScale).forEach((noise, k) => { inputs[`noise_${k}`] = noise; });
  return (await session.run(inputs)).image;
}

export function toPixels(image) {                // ImageData of a drawn image
  const [, , h, w] = image.dims, pixels = new ImageData(w, h), n = h * w;
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round((image.data[c * n + i] + 1) * 127.5);
    pixels.data[4 * i + 3] = 255;
  }
  return pixels;
}
