// The controls of the page "Try it". What they ask for is drawn in worker.js, scale by scale.
const $ = (id) => document.getElementById(id);
const say = (text) => { $("try-status").textContent = text; };
const here = (name) => new URL(name, import.meta.url);
const worker = new Worker(here("worker.js"), { type: "module" });
worker.onerror = (event) => say(`The page's drawing thread failed: ${event.message ?? "this browser may be too old for it"}.`);

const models = await (await fetch(here("models.json"))).json();
const canvas = $("try-canvas"), context = canvas.getContext("2d"), between = document.createElement("canvas");
let number = 0, since = 0;                       // of the last request, and when it was made
const opened = new Set();                        // names of models that have drawn something

for (const about of models) $("try-model").add(new Option(`${about.name}: ${about.shows}`, about.name));
const chosen = () => models.find((about) => about.name === $("try-model").value);
const limit = (input, low, high) => { [input.min, input.max] = [Math.round(low), Math.round(high)]; };

function reset() {                               // controls and texts for the chosen model
  const about = chosen(), [h, w] = about.sizes.at(-1), photograph = $("try-photograph");
  limit($("try-start"), 0, about.sizes.length - 1);
  limit($("try-height"), h / 3, 2 * h); limit($("try-width"), w / 3, 3 * w);
  $("try-height").value = h; $("try-width").value = w;
  [photograph.height, photograph.width] = [h, w];
  photograph.src = here(about.photograph);
  photograph.alt = `The photograph: ${about.shows}`;
  $("try-credit").textContent = `Photograph by ${about.author}, ${about.licence}.`;
  $("try-facts").textContent = `This one has ${about.sizes.length} scales up to ${h} × ${w} pixels and is ${about.megabytes} MB.`;
}

const value = (id) => Math.trunc(+$(id).value);

function ask() {                                 // for what the controls say
  const about = chosen(), size = [value("try-height"), value("try-width")];
  const request = { number: ++number, about, seed: value("try-seed") >>> 0, startScale: value("try-start"), size };
  for (const name of ["start", "width", "height"]) $(`try-${name}-value`).value = $(`try-${name}`).value;
  $("try-command").textContent = "from singan_nb.all import load_pretrained, page_sample\n"
    + `page_sample(load_pretrained("${about.name}"), seed=${request.seed}, start_scale=${request.startScale}, size=(${size.join(", ")}))`;
  say(opened.has(about.name) ? "Drawing …" : `Loading the model of the ${about.name} …`);
  since = performance.now();
  worker.postMessage(request);
}

function show(pixels, [h, w]) {                  // coarse images are enlarged smoothly
  if (canvas.height !== h || canvas.width !== w) [canvas.height, canvas.width] = [h, w];
  if (pixels.height === h && pixels.width === w) { context.putImageData(pixels, 0, 0); return; }
  [between.height, between.width] = [pixels.height, pixels.width];
  between.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(between, 0, 0, w, h);
}

worker.onmessage = ({ data }) => {               // the image of one scale, or what went wrong
  if (data.number !== number) return;            // the answer to an older request
  if (data.error) { say(`This did not work: ${data.error}`); return; }
  const { scale, done, pixels } = data, about = chosen(), seconds = (performance.now() - since) / 1000;
  const size = [value("try-height"), value("try-width")];
  opened.add(about.name);
  show(pixels, size);
  $("try-caption").textContent = done ? "The sample"
    : `Scale ${scale} of 0 to ${about.sizes.length - 1}: ${pixels.height} × ${pixels.width} pixels, enlarged`;
  if (done) {
    canvas.setAttribute("aria-label", `A sample of the ${about.name} from start scale ${value("try-start")}, ${size[0]} by ${size[1]} pixels`);
    canvas.dataset.seconds = seconds;
    say(`Drawn in ${seconds.toFixed(2)} s, here in the page.`);
  }
  canvas.dispatchEvent(new CustomEvent("scale", { detail: { ...data, seconds } }));
};

$("try-model").addEventListener("change", () => { reset(); ask(); });
for (const name of ["start", "seed", "height", "width"]) $(`try-${name}`).addEventListener("input", ask);
$("try-another").addEventListener("click", () => { $("try-seed").value = +$("try-seed").value + 1; ask(); });
$("try-save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = `${chosen().name}_${$("try-seed").value}.png`;
  link.click();
});
reset();
$("try-controls").disabled = false;
ask();
