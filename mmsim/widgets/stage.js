// The moving parts of the MigrationLab. Where things go and how they look is decided in scene.py; this paints
// it, asks the kernel for the next step while playing, and says what is under the pointer or has been clicked.
const KIND = 31, DIRTY = 32, BUFFERS = 64, MARKED = 128, NODE_0 = 8;  // a look, as scene.py makes it
const node = (tag, attributes = {}, parent) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
};

// In JupyterLab's command mode arrow keys, or d d, would mean a cell of the notebook and not what has the focus.
function keep(event) {
  const meant = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter");
  if (!meant && event.key !== "Escape") event.stopPropagation();
}

function stage({ model, el }) {
  const root = node("div", { class: "mm-stage" }, el);
  const picture = node("div", { class: "mm-picture", role: "application", tabindex: "0" }, root);
  const base = node("canvas", {}, picture).getContext("2d");
  const over = node("canvas", {}, picture).getContext("2d");
  const tip = node("div", { class: "mm-tip", role: "status" }, root);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let g, theme, shown, frame, late, timer, flight, at = -1, moved = 0;

  const place = (cell) => {
    const group = g.groups.find((each) => cell < each.first + each.count);
    const i = cell - group.first;
    return [group.x + (i % group.cols) * group.w, group.y + Math.floor(i / group.cols) * group.h, group.w, group.h];
  };
  const cells = () => {
    const view = model.get("cells");
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  };

  // -- painting

  function resize() {
    const scale = window.devicePixelRatio || 1;
    for (const context of [base, over]) {
      const canvas = context.canvas;
      canvas.width = Math.round(g.width * scale);
      canvas.height = Math.round(g.height * scale);
      canvas.style.width = g.width + "px";
      context.setTransform(canvas.width / g.width, 0, 0, canvas.height / g.height, 0, 0);
    }
    picture.style.height = g.height + "px";
    const style = getComputedStyle(root), value = (name) => style.getPropertyValue(name).trim();
    theme = { back: value("--mm-back"), ink: value("--mm-ink"), faint: value("--mm-faint"), line: value("--mm-line"),
              font: style.fontFamily };
    theme.hatch = { "/": hatch([[-1, 5, 5, -1], [3, 5, 5, 3], [-1, 1, 1, -1]]),
                    "\\": hatch([[-1, -1, 5, 5], [3, -1, 5, 1], [-1, 3, 1, 5]]) };
  }

  function hatch(lines) {
    const tile = node("canvas", { width: 4, height: 4 }).getContext("2d");
    tile.strokeStyle = "rgba(0,0,0,.35)";
    for (const [x, y, u, v] of lines) { tile.moveTo(x, y); tile.lineTo(u, v); }
    tile.stroke();
    return base.createPattern(tile.canvas, "repeat");
  }

  function write(context, text, x, y, { align = "start", ink = theme.ink, size = 11, bold = "" } = {}) {
    context.font = `${bold} ${size}px ${theme.font}`;
    context.textAlign = align;
    context.fillStyle = ink;
    context.fillText(text, x, y);
  }

  // Paints within its own w x h only, so that what is painted anew looks as if all were.
  function square(context, x, y, w, h, look, letter) {
    const edge = w > 4 ? 1 : 0;  // a line between squares, where there is room for one
    let [colour, ink, lines] = g.looks[look & KIND];
    if (!(look & KIND)) ink = theme.ink;
    context.fillStyle = theme.back;
    context.fillRect(x, y, w, h);
    context.fillStyle = theme.line;
    if (edge) context.fillRect(x, y, w, h);
    context.fillStyle = look & KIND ? colour : theme.back;
    context.fillRect(x, y, w - edge, h - edge);
    if (lines[0] in theme.hatch) {
      context.fillStyle = theme.hatch[lines[0]];
      context.fillRect(x, y, w - edge, h - edge);
    }
    if (look & MARKED) {  // what stands in the way: a tag with one letter, or two
      const marks = [...g.marks].filter((_, i) => (letter.charCodeAt(0) >> i) & 1);
      letter = marks.slice(0, w >= 16 ? 2 : 1).join("");
      ink = "#fff";
      context.fillStyle = "#000";
      if (w > 8) context.fillRect(x + 1, y + 2, w - 3, h - 5);
      else context.fillRect(x, y, w, h);
    }
    context.fillStyle = "#000";
    if (look & DIRTY && w > 4) context.fillRect(x + 1, y + h - 4, w - 2 - edge, 2);
    if (look & BUFFERS && w > 4) context.fillRect(x + 1, y + 1, w - 2 - edge, 2);
    const size = Math.min(14, h - 2), at = { align: "center", ink, size: look & MARKED ? Math.min(12, h - 5) - (letter.length > 1) : size };
    if (w > 8 && letter !== " ") write(context, letter, x + (w - 1) / 2, y + h / 2 + 0.36 * size - 1, at);
  }

  // Neighbours that are alike, written upon once: page tables too long for a letter in each square.
  function writeRuns(group, now, half) {
    for (let i = 0, j; i < group.count; i = j) {
      const cell = group.first + i, end = Math.min(group.count, (Math.floor(i / group.cols) + 1) * group.cols);
      const alike = (other) => now[cell] === now[other] && now[cell + half] === now[other + half];
      for (j = i + 1; j < end && alike(group.first + j);) j++;
      const letter = String.fromCharCode(now[cell + half]), [x, y] = place(cell);
      if ((j - i) * group.w > 10 && letter !== " ")
        write(base, letter, x + ((j - i) * group.w) / 2, y + 9.5,
          { align: "center", ink: now[cell] & KIND ? g.looks[now[cell] & KIND][1] : theme.ink, size: 10 });
    }
  }

  function paintAll() {
    base.clearRect(0, 0, g.width, g.height);
    shown = null;
    base.strokeStyle = theme.line;
    base.lineWidth = 1;
    for (const { box } of g.groups.filter((group) => group.box)) {
      base.beginPath();
      base.roundRect(box[0] + 0.5, box[1] + 0.5, box[2] - 1, box[3] - 1, 4);
      base.stroke();
    }
    for (const { x, y, w, h, cols, count } of g.groups) {
      base.strokeRect(x - 0.5, y - 0.5, Math.min(cols, count) * w, 0);
      base.strokeRect(x - 0.5, y - 0.5, 0, Math.ceil(count / cols) * h);
      if (w <= 4) base.strokeRect(x - 0.5, y - 0.5, cols * w + 1, Math.ceil(count / cols) * h + 1);
    }
    for (const [x, y, text, align] of g.texts)
      write(base, text, x, y, { align: align === "middle" ? "center" : align, ink: theme.faint });
    for (const [x, y, look, letter, text] of g.legend) {
      square(base, x, y, 15, 15, look, letter || " ");
      base.strokeRect(x - 0.5, y - 0.5, 15, 15);
      write(base, text, x + 20, y + 12);
    }
  }

  function paintCells() {
    const now = cells(), half = g.cells;
    if (now.length !== 2 * half) return;  // of another machine: its geometry follows
    for (const group of g.groups) {
      let free = 0, changed = !shown;  // a node without memory has nothing that could change
      for (let i = group.first; i < group.first + group.count; i++) {
        free += (now[i] & KIND) === 0;
        if (shown && shown[i] === now[i] && shown[i + half] === now[i + half]) continue;
        changed = true;
        square(base, ...place(i), now[i], String.fromCharCode(now[i + half]));
      }
      if (!changed) continue;
      if (group.box) {
        const [x, y, w] = group.box, colour = g.looks[NODE_0 + (group.node % 8)][0];
        base.fillStyle = theme.back;
        base.fillRect(x + 4, y + 3, Math.min(w - 8, 120), 15);
        base.fillStyle = colour;
        base.fillRect(x + 8, y + 6, 10, 10);
        base.strokeRect(x + 7.5, y + 5.5, 11, 11);
        const name = w < 124 ? `${group.node}` : `node ${group.node}`;
        write(base, name, x + 23, y + 15, { bold: "bold" });
        write(base, group.count ? `${free} free` : "no memory", x + 30 + base.measureText(name).width, y + 15);
      } else if (group.w < 9) {
        for (let i = group.first; i < group.first + group.count; i++) square(base, ...place(i), now[i], " ");
        writeRuns(group, now, half);
      }
    }
    shown = now.slice();
  }

  function outline(cell, width) {
    const [x, y, w, h] = place(cell);
    for (const [colour, line] of [[theme.back, width + 2], [theme.ink, width]]) {
      over.strokeStyle = colour;
      over.lineWidth = line;
      over.strokeRect(x - 1, y - 1, w + 1, h + 1);
    }
  }

  // What lies upon the squares: the page in hand, its way, and while it flies the page itself.
  function paintOver(time) {
    if (!theme) return;  // it has just changed, and all is to be painted anew
    over.clearRect(0, 0, g.width, g.height);
    const hand = model.get("hand");
    for (const cell of hand.also || []) outline(cell, 1);
    if (hand.old) outline(hand.old, 2);
    if (hand.new) {
      const [[ax, ay, w, h], [bx, by]] = [place(hand.old), place(hand.new)];
      const bend = [(ax + bx + w) / 2, Math.max(ay, by) + h / 2 + 44];  // below, clear of the headings
      const edge = (x, y, turn) => [x + w / 2 + Math.cos(turn) * (w / 2 + 3), y + h / 2 + Math.sin(turn) * (h / 2 + 3)];
      const angle = (x, y) => Math.atan2(bend[1] - y - h / 2, bend[0] - x - w / 2);
      const from = edge(ax, ay, angle(ax, ay)), to = edge(bx, by, angle(bx, by));
      const along = (t) => [0, 1].map((i) => (1 - t) ** 2 * from[i] + 2 * t * (1 - t) * bend[i] + t * t * to[i]);
      outline(hand.new, 2);
      for (const [colour, line] of [[theme.back, 4.5], [theme.ink, 1.75]]) {
        over.strokeStyle = over.fillStyle = colour;
        over.lineWidth = line;
        over.beginPath();
        over.moveTo(...from);
        over.quadraticCurveTo(...bend, ...to);
        over.stroke();
      }
      over.beginPath();
      over.moveTo(...to);
      for (const turn of [angle(bx, by) + 0.45, angle(bx, by) - 0.45])
        over.lineTo(to[0] + 9 * Math.cos(turn), to[1] + 9 * Math.sin(turn));
      over.fill();
      const [lx, ly] = along(0.5), label = `distance ${hand.distance}`;
      over.font = `11px ${theme.font}`;
      const wide = over.measureText(label).width + 8;
      over.fillStyle = theme.back;
      over.fillRect(lx - wide / 2, ly - 8, wide, 16);
      write(over, label, lx, ly + 4, { align: "center" });
      if (flight && time < flight.end) {
        const t = 1 - (flight.end - time) / flight.time, [x, y] = along(t * t * (3 - 2 * t)), size = Math.max(14, w);
        over.fillStyle = theme.ink;
        over.fillRect(x - size / 2 - 2, y - size / 2 - 2, size + 3, size + 3);
        square(over, x - size / 2, y - size / 2, size, size, cells()[hand.new], String.fromCharCode(cells()[hand.new + g.cells]));
        request();
      }
    }
    if (at >= 0 && document.activeElement === picture) outline(at, 2);
  }

  function paint(time) {
    if (g !== model.get("geometry") || !theme) {
      g = model.get("geometry");
      if (!g.groups) return;
      resize();
      paintAll();
      if (at >= g.cells) at = -1;
    }
    picture.style.cursor = model.get("tool") === "look" ? "" : "crosshair";
    paintCells();
    const step = String(model.get("step"));
    if (picture.dataset.step !== step) {
      flight = null;
      if (model.get("hand").fly && !calm.matches && model.get("pace") >= 100) {
        const long = Math.min(400, 0.5 * model.get("pace"));
        flight = { time: long, end: time + long };
      }
      moved = time;
      if (at >= 0) model.get("playing") ? point(-1) : model.send({ look: at });
      picture.dataset.step = step;
    }
    paintOver(time);
    picture.toggleAttribute("data-flying", !!flight && time < flight.end);
    if (picture.ariaLabel !== model.get("label")) picture.ariaLabel = model.get("label");
    play();
  }

  // However many changes, one painting a frame: the first at once, so that it is done when the browser draws the frame.
  const request = () => { late = true; frame ??= requestAnimationFrame(next); };
  const change = () => {
    if (frame) return request();
    frame = requestAnimationFrame(next);
    paint(performance.now());
  };
  function next(time) {
    frame = null;
    if (!late) return;
    late = false;
    paint(time);
  }

  // -- playing: one request for a step at a time, so that nothing piles up before a busy kernel

  let asked;
  function play() {
    const step = model.get("step");
    if (!model.get("playing")) { clearTimeout(timer); timer = asked = undefined; }
    else if (timer === undefined && asked !== step) {
      timer = setTimeout(() => {
        timer = undefined;
        asked = model.get("step");
        model.send({ next: asked });
      }, Math.max(0, model.get("pace") - (performance.now() - moved)));
    }
  }

  // -- a click on Step: what it will show is here already, and the kernel, which is told of the click, says it again

  let ahead;
  async function prepare({ ahead: states, from }, buffers) {
    if (!states) return;
    ahead = null;
    const models = await Promise.all(Object.keys(states).map((id) => model.widget_manager.get_model(id))).catch(() => []);
    if (!models.length) return;  // one of them has been closed meanwhile
    const cells = buffers.values();
    for (const state of Object.values(states)) if ("step" in state) state.cells = cells.next().value;
    ahead = { from, models, states: Object.values(states) };
  }
  function stepNow(event) {
    if (!event.target.closest(".mm-step") || ahead?.from !== model.get("step") || model.get("playing")) return;
    const { models, states } = ahead;
    ahead = null;
    models.forEach((each, i) => each.set_state(states[i]));
  }

  // -- pointing at a square

  function point(cell) {
    if (cell === at) return;
    at = cell;
    if (cell < 0) { tip.textContent = ""; paintOver(performance.now()); }
    else model.send({ look: cell });
  }
  function find({ offsetX: x, offsetY: y }) {
    for (const group of g.groups) {
      const column = Math.floor((x - group.x) / group.w), row = Math.floor((y - group.y) / group.h);
      const i = row * group.cols + column;
      if (row >= 0 && column >= 0 && column < group.cols && i < group.count) return group.first + i;
    }
    return -1;
  }
  function tell({ cell, text }) {
    if (cell !== at) return;
    const [x, y, w, h] = place(cell);
    tip.textContent = text;
    tip.style.left = Math.max(0, Math.min(x + w, g.width - tip.offsetWidth)) + "px";
    tip.style.top = y + h + 4 + "px";
    paintOver(performance.now());
  }
  function key(event) {
    const group = g.groups.find((each) => at < each.first + each.count);
    const line = group.cols;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -line, ArrowDown: line, Home: -at, End: g.cells }[event.key];
    if (event.key === "Escape") point(-1);
    const picks = at >= 0 && (event.key === "Enter" || event.key === " ");
    if (by === undefined && !picks) return;
    event.preventDefault();
    if (picks) return model.send({ pick: at });
    point(at < 0 ? model.get("hand").old || 0 : Math.max(0, Math.min(g.cells - 1, at + by)));
  }

  picture.addEventListener("pointermove", (event) => g && point(find(event)));
  picture.addEventListener("pointerleave", () => document.activeElement !== picture && point(-1));
  picture.addEventListener("click", (event) => g && (at = find(event)) >= 0 && model.send({ pick: at }));
  picture.addEventListener("keydown", (event) => g && key(event));
  picture.addEventListener("blur", () => point(-1));
  const restyle = () => { theme = null; request(); };
  const watch = new ResizeObserver(() => {
    const width = Math.floor(root.clientWidth / 20) * 20;
    if (width >= 300 && width !== model.get("width")) { model.set("width", width); model.save_changes(); }
    root.closest(".mm-lab")?.addEventListener("click", stepNow);  // by then it is in the page, and in a lab
  });
  watch.observe(root);
  const themes = new MutationObserver(restyle);
  themes.observe(document.body, { attributeFilter: ["class", "data-jp-theme-name"] });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const dense = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
  for (const media of [dark, dense]) media.addEventListener("change", restyle);
  model.on("change", change);
  model.on("msg:custom", tell);
  model.on("msg:custom", prepare);
  request();
  return () => {
    watch.disconnect();
    themes.disconnect();
    for (const media of [dark, dense]) media.removeEventListener("change", restyle);
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    model.off("change", change);
    model.off("msg:custom", tell);
    model.off("msg:custom", prepare);
  };
}

// A slider with a name.
function range({ model, el }) {
  const label = node("label", { class: "mm-range" }, el);
  node("span", {}, label).textContent = model.get("name");
  const input = node("input", { type: "range", min: 0, step: 1 }, label);
  const said = node("output", {}, label);
  const bar = node("canvas", { class: "mm-marks", width: 220, height: 10 }, label).getContext("2d");
  let held = false;
  const mark = () => {  // below the bar: where a pass begins, a page fails, two kernels part, the page has its events
    const wide = input.clientWidth || 200, ink = getComputedStyle(label).color;
    bar.canvas.width = wide;
    const looks = { pass: [ink, 1, 10], page: [ink, 3, 4], fails: ["#d55e00", 3, 10], part: [ink, 5, 10] };
    for (const [place, kind] of model.get("marks")) {
      const [colour, w, h] = looks[kind];
      bar.fillStyle = colour;
      bar.fillRect(8 + ((wide - 16) * place) / model.get("most") - w / 2, 0, w, h);
    }
    const places = (kind) => model.get("marks").filter((each) => each[1] === kind).map((each) => each[0]).join(", ");
    const words = { pass: "passes begin at", fails: "pages fail at", part: "the kernels part at", page: "its events:" };
    bar.canvas.title = Object.entries(words).map(([kind, text]) => places(kind) && `${text} ${places(kind)}`)
      .filter(Boolean).join("; ");
    bar.canvas.style.display = model.get("marks").length ? "" : "none";
  };
  const show = () => {
    input.max = model.get("most");
    if (!held) input.value = model.get("value");
    said.textContent = model.get("said");
    input.setAttribute("aria-valuetext", model.get("said") || input.value);
  };
  const watch = new ResizeObserver(mark);
  watch.observe(input);
  model.on("change:marks", mark);
  input.addEventListener("pointerdown", () => { held = true; });
  input.addEventListener("pointerup", () => { held = false; show(); });
  input.addEventListener("input", () => { model.set("value", Number(input.value)); model.save_changes(); });
  model.on("change", show);
  show();
  return () => { watch.disconnect(); model.off("change", show); model.off("change:marks", mark); };
}

// A widget has a kernel, or what stands for it on paper is shown in its place; where there is none, it looks dead.
async function look(model, root) {
  if (!root || !model.get("of")) return;
  const whole = await model.widget_manager.get_model(model.get("of"));
  const dead = whole.comm_live === false, papers = document.querySelectorAll(`[data-mm="${model.get("of")}"]`);
  for (const paper of papers) paper.hidden = !dead;
  root.classList.add(dead ? "mm-dead" : "mm-alive");
  root.inert = dead;
  if (!dead && (document.body.dataset.voila || location.pathname.includes("/repl/")) && !model.get("here")) {
    model.set("here", location.href);  // the address of an app can say which lab it shows
    model.save_changes();
  }
  if (dead && papers.length) root.style.display = "none";
}

// A line that a screen reader speaks when it changes; it stays in the page, or nothing would be spoken.
function status({ model, el }) {
  const line = node("div", { role: "status" }, el);
  const show = () => {
    line.setAttribute("aria-live", model.get("quiet") ? "off" : "polite");
    if (line.innerHTML !== model.get("value")) line.innerHTML = model.get("value");
  };
  const around = () => line.closest(".mm-lab, .mmsim-plain, .mmsim-predict");
  const guard = new ResizeObserver(() => {  // it is in the page by then, and so is the widget around it
    around()?.addEventListener("keydown", keep);
    look(model, around());
  });
  guard.observe(line);
  model.on("change", show);
  show();
  return () => { guard.disconnect(); model.off("change", show); };
}

// Source with numbered lines, one of them marked.
function source({ model, el }) {
  const title = node("div", { class: "mm-file" }, el);
  const code = node("pre", { class: "mm-code", tabindex: "0", "aria-label": "source" }, el);
  const show = () => {
    title.textContent = model.get("name");
    const lines = model.get("text") ? model.get("text").split("\n") : [];
    code.replaceChildren(...lines.map((text, i) => {
      const number = model.get("first") + i, marked = number === model.get("marked");
      const line = node("span", marked ? { class: "mm-mark" } : {});
      line.textContent = `${marked ? "▶" : " "}${String(number).padStart(4)}  ${text}\n`;
      return line;
    }));
    const line = code.querySelector(".mm-mark"), middle = line?.offsetTop - code.clientHeight / 2;
    if (line) code.scrollTop = [...code.children].find((each) => each.offsetTop >= middle).offsetTop;  // whole lines
  };
  model.on("change", show);
  show();
  return () => model.off("change", show);
}

// A file that the kernel sends, kept by the browser: once, however often the widget is shown.
function initialize({ model }) {
  const save = ({ save: name }, [data] = []) => {
    if (!name) return;
    const link = node("a", { download: name, href: URL.createObjectURL(new Blob([data])) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  model.on("msg:custom", save);
  return () => model.off("msg:custom", save);
}

const kinds = { stage, range, status, source };
export default { initialize, render: (context) => kinds[context.model.get("kind")](context) };
