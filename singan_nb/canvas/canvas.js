// A canvas to paint on and to mark a rectangle on, by mouse, pen, finger or keyboard.
const MOST_UNDO = 50;

function button(text, name, press) {
  const b = document.createElement("button");
  b.type = "button"; b.textContent = text; b.setAttribute("aria-label", name); b.title = name;
  b.addEventListener("click", press);
  return b;
}

function render({ model, el }) {
  const [height, width] = model.get("size"), zoom = Math.max(1, Math.round(480 / width));
  el.classList.add("singan-canvas");
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height, tabIndex: 0 });
  canvas.style.cssText = `width:${width * zoom}px;max-width:100%;touch-action:none;cursor:crosshair;image-rendering:pixelated`;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `${model.get("name")}, ${width} by ${height} pixels: arrow keys move the cursor, with shift by eight; ` +
    "space puts the tool down and lifts it; U undoes");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const frame = document.createElement("div");              // what is not part of the drawing: cursor and rectangle
  const over = document.createElement("canvas");
  Object.assign(over, { width: width * zoom, height: height * zoom });
  over.setAttribute("aria-hidden", "true");
  over.style.cssText = `position:absolute;left:0;top:0;width:${width * zoom}px;max-width:100%;pointer-events:none`;
  frame.style.cssText = "position:relative;line-height:0";
  frame.append(canvas, over);
  const bar = document.createElement("div"), said = document.createElement("div");
  bar.setAttribute("role", "toolbar"); bar.setAttribute("aria-label", `${model.get("name")}, tools`);
  bar.style.cssText = "display:flex;flex-wrap:wrap;gap:4px;margin-bottom:4px;align-items:center";
  said.setAttribute("role", "status"); said.style.cssText = "font-size:13px;min-height:1.4em";

  const background = new Image();
  let tool = model.get("tool"), colour = model.get("palette")[0] || "#000000", brush = 6;
  let at = [width / 2, height / 2], down = false, from = null, undo = [];

  const say = text => { said.textContent = text; };
  const send = () => { model.set("value", canvas.toDataURL("image/png")); model.save_changes(); };
  function keep() { undo.push(context.getImageData(0, 0, width, height)); if (undo.length > MOST_UNDO) undo.shift(); }
  function restore() { context.drawImage(background, 0, 0, width, height); }

  function line(a, b) {                                     // discs along the way: every pixel one flat colour
    const steps = Math.max(1, Math.ceil(Math.hypot(b[0] - a[0], b[1] - a[1])));
    for (let i = 0; i <= steps; i++) {
      const x = a[0] + (b[0] - a[0]) * i / steps, y = a[1] + (b[1] - a[1]) * i / steps, r = brush / 2;
      for (let v = Math.floor(y - r); v <= y + r; v++) for (let u = Math.floor(x - r); u <= x + r; u++)
        if ((u + .5 - x) ** 2 + (v + .5 - y) ** 2 <= r * r) dot(u, v);
    }
  }
  function dot(u, v) {
    if (tool === "eraser") context.drawImage(background, u, v, 1, 1, u, v, 1, 1);
    else { context.fillStyle = colour; context.fillRect(u, v, 1, 1); }
  }
  function show() {
    const c = over.getContext("2d");
    c.clearRect(0, 0, over.width, over.height);
    const draw = (x, y, w, h) => [["#000000", 4], ["#ffffff", 2]].forEach(([style, thick]) => {
      c.strokeStyle = style; c.lineWidth = thick; c.strokeRect(x, y, w, h); });
    const [t, l, h, w] = model.get("box");
    if (tool === "box" && h > 0) draw(l * over.width, t * over.height, w * over.width, h * over.height);
    if (document.activeElement === canvas) draw(at[0] * zoom - 5, at[1] * zoom - 5, 10, 10);
  }

  function begin(point) {
    at = point; down = true;
    if (tool === "box") from = point; else { keep(); line(point, point); }
    show();
  }
  function move(point) {
    if (down && tool !== "box") line(at, point);
    at = point;
    if (down && tool === "box") setBox();
    show();
  }
  function end() {
    if (!down) return;
    down = false;
    if (tool === "box") { model.save_changes(); say("rectangle marked"); } else { send(); say("drawn"); }
    show();
  }
  function setBox() {
    const [x, X] = [from[0], at[0]].sort((a, b) => a - b), [y, Y] = [from[1], at[1]].sort((a, b) => a - b);
    const share = [y / height, x / width, Math.max(1, Y - y) / height, Math.max(1, X - x) / width];
    model.set("box", share.map(value => Math.round(value * 1000) / 1000));
  }
  function takeBack() {
    if (!undo.length) { say("nothing to undo"); return; }
    context.putImageData(undo.pop(), 0, 0); send(); say("undone");
  }
  function clear() { keep(); restore(); send(); say("cleared"); }

  const inside = event => {
    const place = canvas.getBoundingClientRect(), clip = (v, most) => Math.min(most, Math.max(0, v));
    return [clip((event.clientX - place.left) * width / place.width, width), clip((event.clientY - place.top) * height / place.height, height)];
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); canvas.focus(); begin(inside(event)); event.preventDefault(); });
  canvas.addEventListener("pointermove", event => { if (down) move(inside(event)); });
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("focus", show);
  canvas.addEventListener("blur", () => { end(); show(); });
  canvas.addEventListener("keydown", event => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const step = event.shiftKey ? 8 : 1, clip = (v, most) => Math.min(most, Math.max(0, v));
    if (way) move([clip(at[0] + way[0] * step, width), clip(at[1] + way[1] * step, height)]);
    else if (event.key === " ") { if (down) end(); else begin(at); }
    else if (event.key === "u" || event.key === "U") takeBack();
    else return;
    event.preventDefault(); event.stopPropagation();          // the notebook has these keys, too
  });

  const choices = [];
  function choose(b, name, newTool, newColour) {
    tool = newTool; colour = newColour || colour;
    for (const other of choices) { other.setAttribute("aria-pressed", other === b); other.style.outline = other === b ? "3px solid #0072B2" : ""; }
    say(name); show();
  }
  function choice(text, name, newTool, newColour) {
    const b = button(text, name, () => choose(b, name, newTool, newColour));
    b.style.cssText = "min-width:30px;min-height:30px;outline-offset:1px" + (newColour ? `;background:${newColour}` : "");
    choices.push(b); bar.append(b);
    return b;
  }
  const box = model.get("boxes") ? choice("▭", "mark a rectangle", "box") : null;
  const colours = model.get("palette").map((c, i) => choice("", `colour ${i + 1}: ${c}`, "brush", c));
  choice("Eraser", "eraser: the picture below returns", "eraser");
  choose(box || colours[0], "", box ? "box" : "brush", colour);
  const label = document.createElement("label"), size = document.createElement("input");
  Object.assign(size, { type: "range", min: 1, max: Math.round(width / 4), value: brush });
  size.setAttribute("aria-label", "brush size in pixels");
  size.addEventListener("input", () => { brush = Number(size.value); say(`brush of ${brush} pixels`); });
  label.append("Brush ", size);
  bar.append(label, button("Undo", "undo the last stroke", takeBack), button("Clear", "clear: the picture below returns", clear));

  background.onload = () => { undo = []; restore(); show(); canvas.dataset.ready = "true"; };
  const newBackground = () => { background.src = model.get("background"); };
  const redraw = () => { if (!model.get("value")) restore(); show(); };
  model.on("change:background", newBackground); model.on("change:box", show); model.on("change:value", redraw);
  newBackground();
  el.append(bar, frame, said);
  return () => { model.off("change:background", newBackground); model.off("change:box", show); model.off("change:value", redraw); };
}

export default { render };
