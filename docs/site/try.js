// The controls of the page "Try it".
import { load, draw, toPixels } from "./singan.js";

const $ = (id) => document.getElementById(id);
const say = (text) => { $("try-status").textContent = text; };
const models = await (await fetch(new URL("models.json", import.meta.url))).json();
const sessions = {};                             // by name, each loaded once
let busy = false, again = false;

for (const about of models) $("try-model").add(new Option(`${about.name}: ${about.shows}`, about.name));
const chosen = () => models.find((about) => about.name === $("try-model").value);

function reset() {                               // the controls' ranges for the chosen model
  const about = chosen(), [h, w] = about.sizes.at(-1);
  $("try-start").max = about.sizes.length - 1;
  $("try-height").value = h; $("try-width").value = w;
  $("try-photograph").src = new URL(about.photograph, import.meta.url);
  $("try-photograph").alt = `The photograph: ${about.shows}`;
  $("try-credit").textContent = `Photograph by ${about.author}, ${about.licence}.`;
}

function label() {
  for (const name of ["start", "width", "height"]) $(`try-${name}-value`).value = $(`try-${name}`).value;
  const k = +$("try-start").value;
  $("try-command").textContent = "from singan_nb.all import *\n"
    + `page_sample(load_pretrained("${chosen().name}"), seed=${$("try-seed").value}, start_scale=${k}, `
    + `size=(${$("try-height").value}, ${$("try-width").value}))`;
}

async function show() {                          // one picture at a time; the last wish wins
  label();
  if (busy) { again = true; return; }
  busy = true;
  try {
    do {
      again = false;
      const about = chosen(), name = about.name;
      if (!sessions[name]) { say(`Loading the model of the ${name} …`); sessions[name] = await load(about); }
      const value = (id) => Math.trunc(+$(id).value), size = [value("try-height"), value("try-width")];
      say("Drawing …");
      await new Promise((done) => setTimeout(done));           // let the page say so
      const before = performance.now();
      const image = await draw(sessions[name], about, value("try-seed") >>> 0, value("try-start"), size);
      const seconds = (performance.now() - before) / 1000, canvas = $("try-canvas");
      [canvas.height, canvas.width] = size;
      canvas.getContext("2d").putImageData(toPixels(image), 0, 0);
      canvas.setAttribute("aria-label", `A sample of the ${name} from start scale ${value("try-start")}, `
        + `${size[0]} by ${size[1]} pixels`);
      canvas.dataset.seconds = seconds;
      say(`Drawn in ${seconds.toFixed(2)} s, here in the page.`);
    } while (again);
  } catch (error) { say(`This did not work: ${error.message}`); throw error; } finally { busy = false; }
}

$("try-model").addEventListener("change", () => { reset(); show(); });
for (const name of ["start", "seed", "height", "width"]) $(`try-${name}`).addEventListener("input", show);
$("try-another").addEventListener("click", () => { $("try-seed").value = +$("try-seed").value + 1; show(); });
$("try-save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = $("try-canvas").toDataURL("image/png");
  link.download = `${chosen().name}_${$("try-seed").value}.png`;
  link.click();
});
reset();
$("try-controls").disabled = false;
show();
