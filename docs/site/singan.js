// A SinGAN in the browser: noise, sizes, and a model that draws scale by scale. The lesson is nbs/practice/29_onnx.ipynb;
// portableNoise, noise, drawScales and draw give what portable_noise, page_noises, run_scales and page_sample give in Python.
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

export function noise(about, k, [h, w], seed) {  // of scale k; null is no noise
  const values = new Float32Array(3 * h * w);
  if (seed !== null) {
    const drawn = portableNoise(seed, k, (about.grey_noise && k === 0 ? 1 : 3) * h * w);
    for (let start = 0; start < values.length; start += drawn.length) values.set(drawn, start);
  }
  return new ort.Tensor("float32", values, [1, 3, h, w]);
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

export function start() {                        // the runtime is fetched once
  runtime ??= bytes(here("vendor/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz")).then((binary) => {
    ort.env.wasm.wasmBinary = binary.buffer;
    ort.env.wasm.numThreads = 1;                 // more need headers that GitHub Pages does not send
  });
  return runtime;
}

export function openModel(about) {               // a model, from an entry of models.json; its files come in the background
  const file = (k) => here(`${about.folder}/scale_${k}.onnx`), count = about.sizes.length;
  const files = [...Array(count).keys()].map((k) => bytes(file(k)));
  for (const promise of files) promise.catch(() => {});   // whoever waits for the file is told
  return { about, files, sessions: [], reconstructions: [], kept: new Map() };
}

async function session(model, k) {               // of scale k; made when it is first needed
  await start();
  model.sessions[k] ??= await ort.InferenceSession.create(await model.files[k], { executionProviders: ["wasm"] });
  return model.sessions[k];
}

async function runScale(model, k, given, below, sizes) {   // the image of scale k, on the image below it
  const inputs = k === 0 ? { start_scale: new ort.Tensor("int64", [given.reconstruct ? 1n : 0n], []) }
    : { image_below: below, size_below: new ort.Tensor("int64", sizes[k - 1].map(BigInt), [2]) };
  return (await (await session(model, k)).run({ noise: given.noise, ...inputs })).image;
}

async function reconstruction(model, k) {        // of scale k, at the training's size; kept
  const { about, reconstructions } = model;
  for (let i = reconstructions.length; i <= k; i++) {
    const given = { noise: noise(about, i, about.sizes[i], null), reconstruct: true };
    reconstructions.push(await runScale(model, i, given, reconstructions[i - 1], about.sizes));
  }
  return reconstructions[k];
}

const KEPT = 8;                                  // samples whose images are kept

function keptImages(model, key) {                // the images of a sample, as far as they are drawn
  const images = model.kept.get(key) ?? [];
  model.kept.delete(key); model.kept.set(key, images);     // the last one asked for is the last one to go
  if (model.kept.size > KEPT) model.kept.delete(model.kept.keys().next().value);
  return images;
}

export async function* drawScales(model, seed, startScale, size) {   // {scale, image, drawn} from the start scale up
  const sizes = sizesFor(model.about, size), images = keptImages(model, `${seed} ${startScale} ${size}`);
  for (let k = startScale; k < sizes.length; k++) {
    const drawn = !images[k];                    // or kept from the last time
    if (drawn) {
      const below = images[k - 1] ?? (k > 0 ? await reconstruction(model, k - 1) : null);
      images[k] = await runScale(model, k, { noise: noise(model.about, k, sizes[k], seed) }, below, sizes);
    }
    yield { scale: k, image: images[k], drawn };
  }
}

export async function draw(model, seed, startScale, size) {   // the finished image, {data, dims [1, 3, H, W]}
  let image = null;
  for await (const each of drawScales(model, seed, startScale, size)) image = each.image;
  return image;
}

export function toPixels(image) {                // ImageData of a drawn image; values beyond [-1, 1] are clipped
  const [, , h, w] = image.dims, pixels = new ImageData(w, h), n = h * w;
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round((image.data[c * n + i] + 1) * 127.5);
    pixels.data[4 * i + 3] = 255;
  }
  return pixels;
}
