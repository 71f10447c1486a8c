"use strict";
// The server finds every instance once; thresholds, drawing and downloads happen here.
const element = (id) => document.getElementById(id);
const canvas = element("canvas");
let image = null; // decoded by the browser, turned upright as the server turns it
let result = null; // the server's answer
let name = "image";

function say(text, bad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", bad);
}

async function take(file) {
  if (!file || element("drop").classList.contains("busy")) return;
  element("drop").classList.add("busy");
  say("Looking for masks ...");
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const response = await fetch("predict", { method: "POST", headers, body: file });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    try {
      image = await createImageBitmap(file);
    } catch {
      throw new Error("this browser cannot show the file; convert it to JPEG or PNG");
    }
    result = answer;
    name = file.name.replace(/\.[^.]*$/, "") || "image";
    show(true);
    draw();
  } catch (error) {
    const text = error instanceof TypeError ? "the server does not answer; is it still running?" : error.message;
    say(text, true);
  } finally {
    element("drop").classList.remove("busy");
    element("file").value = "";
  }
}

function show(found) {
  element("drop").hidden = found;
  canvas.hidden = element("panel").hidden = !found;
}

const threshold = (id) => Number(element(id).value);
const shown = () => result.instances.filter((one) => one.class_score >= threshold("score") && one.quality >= threshold("quality"));

function colour(category) {
  const all = [...new Set(result.instances.map((one) => one.category_id))].sort((a, b) => a - b);
  const place = all.indexOf(category);
  return `hsl(${(place * 222.5) % 360} 90% ${[52, 64, 44][place % 3]}%)`;
}

function paint(target, scale) {
  target.width = Math.max(1, Math.round(result.width * scale));
  target.height = Math.max(1, Math.round(result.height * scale));
  const context = target.getContext("2d");
  context.drawImage(image, 0, 0, target.width, target.height);
  const line = Math.max(1.5, Math.min(target.width, target.height) / 300);
  const instances = shown().reverse(); // the best on top
  for (const one of instances) {
    const path = new Path2D();
    for (const outline of one.outlines) {
      outline.forEach(([x, y], index) => path[index ? "lineTo" : "moveTo"](x * scale, y * scale));
      path.closePath();
    }
    context.fillStyle = context.strokeStyle = colour(one.category_id);
    context.globalAlpha = threshold("fill");
    context.fill(path, "evenodd");
    context.globalAlpha = 1;
    context.lineWidth = line;
    context.stroke(path);
  }
  if (element("names").checked) instances.forEach((one) => label(context, one, scale));
}

function label(context, one, scale) {
  const size = Math.max(11, Math.round(Math.min(context.canvas.width, context.canvas.height) / 34));
  const corners = one.outlines.flat();
  if (!corners.length) return;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const text = `${one.category} ${one.class_score.toFixed(2)}`;
  const width = context.measureText(text).width + 8;
  const x = Math.max(0, Math.min(low(corners, 0) * scale, context.canvas.width - width));
  const y = Math.max(0, low(corners, 1) * scale - size - 6);
  context.fillStyle = colour(one.category_id);
  context.fillRect(x, y, width, size + 6);
  context.fillStyle = "#000";
  context.textBaseline = "top";
  context.fillText(text, x + 4, y + 3);
}

const low = (corners, axis) => corners.reduce((least, corner) => Math.min(least, corner[axis]), Infinity);

function draw() {
  if (!result) return;
  for (const id of ["score", "quality", "fill"]) element(`${id}-value`).textContent = threshold(id).toFixed(2);
  const side = Math.max(result.width, result.height);
  paint(canvas, Math.min(Math.max(side, 960), 2048) / side); // small images enlarged, large ones reduced
  const instances = shown();
  const counts = new Map();
  for (const one of instances) counts.set(one.category_id, [one.category, (counts.get(one.category_id)?.[1] ?? 0) + 1]);
  element("categories").replaceChildren(...[...counts].sort((a, b) => b[1][1] - a[1][1]).map(row));
  const rest = result.instances.length - instances.length;
  say(`${instances.length} ${instances.length === 1 ? "mask" : "masks"} shown, ${rest} below the thresholds; ${result.milliseconds} ms`);
}

function row([category, [text, count]]) {
  const item = document.createElement("li");
  const swatch = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, value] of Object.entries({ width: "100%", height: "100%", rx: "3", fill: colour(category) })) square.setAttribute(key, value);
  swatch.append(square);
  swatch.setAttribute("aria-hidden", "true");
  const label = document.createElement("span");
  label.textContent = text;
  const number = document.createElement("b");
  number.textContent = count;
  item.append(swatch, label, number);
  return item;
}

function download(blob, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name + ending;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

element("file").addEventListener("change", (event) => take(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
}
for (const id of ["score", "quality", "fill", "names"]) element(id).addEventListener("input", draw);
element("again").addEventListener("click", () => { show(false); say(""); element("file").click(); });
element("picture").addEventListener("click", () => {
  const whole = document.createElement("canvas");
  paint(whole, 1);
  whole.toBlob((blob) => blob ? download(blob, ".masks.png") : say("the picture is too large for this browser", true), "image/png");
});
element("json").addEventListener("click", () => {
  const list = shown().map(({ outlines, ...one }) => ({ image_id: 0, file_name: name, ...one }));
  download(new Blob([JSON.stringify(list, null, 1)], { type: "application/json" }), ".masks.json");
});
