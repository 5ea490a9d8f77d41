"use strict";
// Draws the charts, plays the film of sample grids and copies commands. Everything it needs is in the page.
(() => {
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = event.message; });
  const content = JSON.parse(document.getElementById("content").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const by = content.by ?? "round"; // the axis that charts share: what is pointed at in one is shown in all
  const view = { axis: by, log: false, smooth: false, at: null }; // at: the place on `by` that is pointed at

  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "line", "path", "circle", "text", "rect", "title"].includes(tag);
    const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // --- Numbers ---------------------------------------------------------------------------------------------------------------

  function say(value) {
    if (value === null || value === undefined) return "—";
    const size = Math.abs(value);
    if (size >= 1e4 && Number.isInteger(value) && size < 1e15) return value.toLocaleString("en-US");
    if (size !== 0 && (size >= 1e6 || size < 1e-3)) return value.toExponential(2).replace("e+", "e");
    return String(Number(value.toPrecision(4)));
  }

  function short(value) {
    const size = Math.abs(value);
    for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (size >= unit) return `${Number((value / unit).toPrecision(4))}${name}`;
    return size !== 0 && size < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(3)));
  }

  function nice(low, high, count) { // round steps of 1, 2 or 5 between low and high
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.75);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && ticks.length < 50; i++) ticks.push(i * step);
    return ticks;
  }

  function scaleOf(low, high) { // how values become heights: linear, logarithmic, or logarithmic on both sides of zero
    if (!view.log) return { to: (v) => v, ticks: nice(low, high, 4) };
    if (low > 0) {
      let ticks = [];
      const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high)), every = Math.ceil((last - first) / 6);
      const parts = last - first <= 2 ? [1, 2, 5] : [1];
      for (let d = first; d <= last; d += every) ticks.push(...parts.map((m) => m * 10 ** d));
      ticks = ticks.filter((t) => t >= low && t <= high);
      return { to: Math.log10, ticks: ticks.length > 1 ? ticks : nice(low, high, 4).filter((t) => t > 0) };
    }
    const unit = Math.max(-low, high) / 1000 || 1;
    const top = 10 ** Math.floor(Math.log10(unit * 1000));
    const ticks = [-top, -top / 10, -top / 100, 0, top / 100, top / 10, top].filter((t) => t >= low && t <= high);
    return { to: (v) => Math.sign(v) * Math.log10(1 + Math.abs(v) / unit), ticks };
  }

  function smoothed(values) { // mean of a running mean from each side, so that nothing lags; memory: a thirtieth of the curve
    const keep = 1 - 1 / Math.max(2, values.length / 30);
    const run = (list) => {
      let sum = 0, weight = 0;
      return list.map((v) => {
        if (v === null) return null;
        [sum, weight] = [keep * sum + v, keep * weight + 1];
        return sum / weight;
      });
    };
    const back = run([...values].reverse()).reverse();
    return run(values).map((v, i) => (v === null ? null : (v + back[i]) / 2));
  }

  const timed = () => view.axis.endsWith("seconds");

  function time(axis) { // seconds in the unit that suits the longest of them
    const most = Math.max(0, ...axis.filter((s) => s !== null));
    return most >= 7200 ? [3600, "h"] : most >= 180 ? [60, "min"] : [1, "s"];
  }

  // --- Charts ----------------------------------------------------------------------------------------------------------------

  class Chart {
    constructor(figure, panel) {
      this.panel = panel;
      this.box = figure.querySelector(".plot");
      figure.querySelector("details").open = false; // open for readers without a script
      this.legend = make("div", { class: "legend" });
      this.where = make("span", { class: "where", "aria-live": "polite" });
      this.shown = panel.series.map(() => true);
      this.values = panel.series.map((series, index) => {
        const value = make("b");
        const button = make("button", { type: "button", "aria-pressed": "true", style: `--hue:${this.hue(index)}` }, series.name, value);
        button.addEventListener("click", () => {
          this.shown[index] = !this.shown[index];
          button.setAttribute("aria-pressed", String(this.shown[index]));
          this.draw();
        });
        this.legend.append(button);
        return value;
      });
      this.legend.append(this.where);
      this.box.after(this.legend);
      new ResizeObserver(() => { if (this.box.clientWidth !== this.width) this.draw(); }).observe(this.box);
    }

    hue(index) { return `var(--c${this.panel.series[index].color % 8})`; }
    axis(index, name = view.axis) { return content.axes[this.panel.series[index].x][name]; }

    draw() {
      this.width = this.box.clientWidth || 480;
      const height = 216, left = 46, right = 10, top = 10, bottom = 24;
      const curves = this.panel.series.map((series, index) => ({ ...series, index, xs: this.axis(index) })).filter((c) => this.shown[c.index]);
      const told = curves.flatMap((c) => [...c.values, c.floor ?? null]).filter((v) => v !== null);
      const spans = curves.flatMap((c) => c.xs.filter((x) => x !== null));
      let low = told.reduce((a, b) => Math.min(a, b), Infinity), high = told.reduce((a, b) => Math.max(a, b), -Infinity);
      let start = spans.reduce((a, b) => Math.min(a, b), Infinity), end = spans.reduce((a, b) => Math.max(a, b), -Infinity);
      if (low > high) [low, high] = [0, 1];
      if (low === high) [low, high] = low === 0 ? [-1, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
      if (start > end) [start, end] = [0, 1];
      if (start === end) [start, end] = [Math.max(0, start - 1), end + 1];
      if (!view.log) { // a little air, but no axis below zero for what cannot be negative
        const air = (high - low) * 0.06;
        [low, high] = [low >= 0 ? Math.max(0, low - air) : low - air, high + air];
      }
      const scale = scaleOf(low, high);
      const y = (v) => top + (height - top - bottom) * (1 - (scale.to(v) - scale.to(low)) / (scale.to(high) - scale.to(low)));
      const x = (v) => left + (this.width - left - right) * ((v - start) / (end - start));
      const name = `${this.panel.title}: ${this.panel.series.map((s) => s.name).join(", ")}`;
      const svg = make("svg", { viewBox: `0 0 ${this.width} ${height}`, height, tabindex: 0, role: "img", "aria-label": name });
      for (const tick of scale.ticks) {
        svg.append(make("line", { class: "rule", x1: left, x2: this.width - right, y1: y(tick), y2: y(tick) }));
        svg.append(make("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
      }
      const [unit, sign] = timed() ? time(spans) : [1, ""];
      for (const tick of nice(start / unit, end / unit, Math.max(2, Math.min(6, this.width / 90)))) {
        const at = x(tick * unit);
        svg.append(make("line", { class: "axis", x1: at, x2: at, y1: height - bottom, y2: height - bottom + 4 }));
        const anchor = at > this.width - 24 ? "end" : "middle";
        svg.append(make("text", { x: Math.min(at, this.width), y: height - 7, "text-anchor": anchor }, `${short(tick)}${sign && ` ${sign}`}`));
      }
      svg.append(make("line", { class: "axis", x1: left, x2: this.width - right, y1: height - bottom, y2: height - bottom }));
      for (const mark of content.marks) {
        const at = curves.length ? this.between(curves[0].index, mark.round) : null;
        if (at === null) continue;
        const here = x(at);
        const line = make("line", { x1: here, x2: here, y1: top, y2: height - bottom }, make("title", {}, `${mark.kind} at round ${say(mark.round)}`));
        line.setAttribute("class", `mark ${["health", "rollback"].includes(mark.kind) ? mark.kind : ""}`);
        svg.append(line);
      }
      for (const curve of curves) {
        const hue = this.hue(curve.index);
        const smooth = view.smooth && curve.values.length >= 20;
        const path = (values) => {
          const points = values.map((v, i) => (v === null || curve.xs[i] === null ? null : `${x(curve.xs[i]).toFixed(1)},${y(v).toFixed(1)}`));
          return `M${points.filter((p) => p !== null).join("L")}`;
        };
        if (curve.floor !== undefined && curve.floor !== null) {
          svg.append(make("line", { class: "floor", style: `stroke:${hue}`, x1: left, x2: this.width - right, y1: y(curve.floor), y2: y(curve.floor) }));
          const above = y(curve.floor) > top + 14 ? -5 : 13;
          if (this.panel.series.length === 1) svg.append(make("text", { x: this.width - right, y: y(curve.floor) + above, "text-anchor": "end" }, `floor ${say(curve.floor)}`));
        }
        if (smooth) svg.append(make("path", { class: "raw", style: `stroke:${hue}`, d: path(curve.values) }));
        svg.append(make("path", { class: "line", style: `stroke:${hue}`, d: path(smooth ? smoothed(curve.values) : curve.values) }));
        if (curve.values.length <= 12) {
          curve.values.forEach((v, i) => {
            if (v !== null && curve.xs[i] !== null) svg.append(make("circle", { cx: x(curve.xs[i]), cy: y(v), r: 2.6, style: `fill:${hue}` }));
          });
        }
        if (curve.best !== undefined && curve.xs[curve.best] !== null) {
          const ring = { class: "ring", cx: x(curve.xs[curve.best]), cy: y(curve.values[curve.best]), r: 6, style: `stroke:${hue}` };
          svg.append(make("circle", ring, make("title", {}, `best: ${say(curve.values[curve.best])}`)));
        }
      }
      this.pointer = make("g");
      svg.append(this.pointer);
      Object.assign(this, { svg, x, y, curves, top, foot: height - bottom });
      svg.addEventListener("pointermove", (event) => this.point(event));
      svg.addEventListener("pointerdown", (event) => this.point(event));
      svg.addEventListener("pointerleave", () => point(null));
      svg.addEventListener("blur", () => point(null));
      svg.addEventListener("keydown", (event) => this.key(event));
      this.box.replaceChildren(svg);
      this.cursor();
    }

    between(index, round) { // where a round lies on the axis, between two points; null outside of them
      const rounds = this.axis(index, "round"), xs = this.axis(index);
      for (let i = 1; i < rounds.length; i++) {
        if ([rounds[i - 1], rounds[i], xs[i - 1], xs[i]].includes(null) || round < rounds[i - 1] || round > rounds[i]) continue;
        return xs[i - 1] + (xs[i] - xs[i - 1]) * ((round - rounds[i - 1]) / (rounds[i] - rounds[i - 1] || 1));
      }
      return null;
    }

    place(index, round) { // the point nearest to a place on the shared axis
      const rounds = this.axis(index, by);
      let best = -1, gap = Infinity;
      rounds.forEach((r, i) => { if (r !== null && Math.abs(r - round) < gap) [best, gap] = [i, Math.abs(r - round)]; });
      return best;
    }

    point(event) {
      if (!this.curves.length) return;
      const here = event.clientX - this.svg.getBoundingClientRect().left;
      const { xs, index } = this.curves[0];
      let best = -1, gap = Infinity;
      xs.forEach((v, i) => { if (v !== null && Math.abs(this.x(v) - here) < gap) [best, gap] = [i, Math.abs(this.x(v) - here)]; });
      if (best >= 0) point(this.axis(index, by)[best]);
    }

    key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
      if (step === undefined || !this.curves.length) return;
      event.preventDefault();
      const rounds = this.axis(this.curves[0].index, by);
      const from = view.at === null ? (step < 0 ? rounds.length : -1) : this.place(this.curves[0].index, view.at);
      point(rounds[Math.max(0, Math.min(rounds.length - 1, from + step))]);
    }

    cursor() { // show the values at the round that is pointed at, or the last ones
      if (!this.svg) return;
      this.pointer.replaceChildren();
      this.where.textContent = "";
      this.panel.series.forEach((series, index) => {
        let at = series.values.length - 1;
        if (view.at !== null) at = this.place(index, view.at);
        else while (at > 0 && series.values[at] === null) at -= 1;
        const value = at < 0 ? null : series.values[at];
        this.values[index].textContent = say(value);
        const place = at < 0 ? null : this.axis(index)[at];
        if (view.at === null || value === null || place === null || !this.shown[index]) return;
        const here = this.x(place);
        if (!this.where.textContent) {
          const [unit, sign] = timed() ? time(this.axis(index)) : [1, ""];
          const names = { round: "round ", seen: "seen ", seconds: "", cpu_seconds: "CPU " };
          this.where.textContent = `${names[view.axis]}${say(sign ? Number((place / unit).toPrecision(3)) : place)}${sign && ` ${sign}`}`;
          this.pointer.append(make("line", { class: "cross", x1: here, x2: here, y1: this.top, y2: this.foot }));
        }
        this.pointer.append(make("circle", { cx: here, cy: this.y(value), r: 3.4, style: `fill:${this.hue(index)}` }));
      });
    }
  }

  class Plane { // points of one figure against another, joined in their order
    constructor(figure, panel) {
      this.panel = panel;
      this.box = figure.querySelector(".plot");
      figure.querySelector("details").open = false;
      const legend = make("div", { class: "legend" });
      this.shown = panel.series.map(() => true);
      panel.series.forEach((series, index) => {
        const button = make("button", { type: "button", "aria-pressed": "true", style: `--hue:var(--c${series.color % 8})` }, series.name);
        button.addEventListener("click", () => {
          this.shown[index] = !this.shown[index];
          button.setAttribute("aria-pressed", String(this.shown[index]));
          this.draw();
        });
        legend.append(button);
      });
      this.box.after(legend);
      new ResizeObserver(() => { if (this.box.clientWidth !== this.width) this.draw(); }).observe(this.box);
    }

    span(values) { // from the least to the most, with air
      const low = Math.min(...values), high = Math.max(...values), air = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
      return [low - air, high + air];
    }

    draw() {
      this.width = this.box.clientWidth || 480;
      const height = 320, left = 46, right = 14, top = 12, bottom = 40;
      const told = this.panel.series.flatMap((series) => series.points);
      const [start, end] = this.span(told.map((p) => p[0])), [low, high] = this.span(told.map((p) => p[1]));
      const x = (v) => left + (this.width - left - right) * ((v - start) / (end - start));
      const y = (v) => top + (height - top - bottom) * (1 - (v - low) / (high - low));
      const name = `${this.panel.title}: ${this.panel.y} against ${this.panel.x}; ${this.panel.series.map((s) => s.name).join(", ")}`;
      const svg = make("svg", { viewBox: `0 0 ${this.width} ${height}`, height, role: "img", "aria-label": name });
      for (const tick of nice(low, high, 5)) {
        svg.append(make("line", { class: "rule", x1: left, x2: this.width - right, y1: y(tick), y2: y(tick) }));
        svg.append(make("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
      }
      for (const tick of nice(start, end, Math.max(2, Math.min(6, this.width / 90)))) {
        svg.append(make("line", { class: "axis", x1: x(tick), x2: x(tick), y1: height - bottom, y2: height - bottom + 4 }));
        svg.append(make("text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, short(tick)));
      }
      svg.append(make("line", { class: "axis", x1: left, x2: this.width - right, y1: height - bottom, y2: height - bottom }));
      svg.append(make("text", { x: this.width - right, y: height - 4, "text-anchor": "end" }, `${this.panel.x} →`));
      svg.append(make("text", { x: left + 6, y: top + 4 }, `↑ ${this.panel.y}`));
      this.panel.series.forEach((series, index) => {
        if (!this.shown[index]) return;
        const hue = `var(--c${series.color % 8})`;
        const places = series.points.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`);
        if (places.length > 1) svg.append(make("path", { class: "line", style: `stroke:${hue}`, d: `M${places.join("L")}` }));
        let free = null; // where the last label stands: the next one keeps away
        for (const [a, b, label] of series.points) {
          const what = `${series.name}${label && ` at ${label}`}: ${this.panel.x} ${say(a)}, ${this.panel.y} ${say(b)}`;
          const mark = { cx: x(a), cy: y(b), r: series.points.length > 1 ? 3.2 : 5, style: `fill:${hue}` };
          svg.append(make("circle", mark, make("title", {}, what)));
          const far = free === null || Math.hypot(x(a) - free[0], y(b) - free[1]) > 30;
          if (!far) continue;
          free = [x(a), y(b)];
          const side = x(a) > this.width - 60 ? "end" : "start";
          svg.append(make("text", { x: x(a) + (side === "end" ? -7 : 7), y: y(b) + 13, "text-anchor": side }, label || series.name));
        }
      });
      this.box.replaceChildren(svg);
    }
  }

  const panels = new Map(content.panels.map((panel) => [panel.id, panel]));
  const charts = [];
  for (const figure of document.querySelectorAll("figure[data-panel]")) {
    const panel = panels.get(figure.dataset.panel);
    if (panel) charts.push(new Chart(figure, panel));
  }
  const planes = new Map((content.planes ?? []).map((panel) => [panel.id, panel]));
  for (const figure of document.querySelectorAll("figure[data-plane]")) {
    const panel = planes.get(figure.dataset.plane);
    if (panel) new Plane(figure, panel).draw();
  }
  const redraw = () => charts.forEach((chart) => chart.draw());
  function point(round) {
    view.at = round;
    charts.forEach((chart) => chart.cursor());
  }
  for (const control of document.querySelectorAll(".tools input, .tools select")) {
    control.addEventListener("change", () => {
      view[control.name] = control.type === "checkbox" ? control.checked : control.value;
      redraw();
    });
  }

  // --- The film of sample grids ------------------------------------------------------------------------------------------------

  const viewer = document.querySelector(".viewer");
  const thumbs = [...document.querySelectorAll(".sheet img")];
  if (viewer && thumbs.length > 1) {
    const picture = viewer.querySelector("img"), slider = viewer.querySelector("input"), button = viewer.querySelector(".play");
    const last = { src: picture.src, alt: picture.alt };
    let timer = null;
    const show = (index) => {
      const thumb = thumbs[index];
      slider.value = index;
      slider.setAttribute("aria-valuetext", thumb.dataset.label);
      picture.src = index === thumbs.length - 1 ? last.src : thumb.src;
      picture.alt = `Grid of generated samples, ${thumb.dataset.label}`;
      viewer.querySelector(".at").textContent = thumb.dataset.label;
      thumbs.forEach((other, i) => other.closest("li").toggleAttribute("aria-current", i === index));
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
      button.setAttribute("aria-pressed", "false");
    };
    button.addEventListener("click", () => {
      if (timer !== null) return stop();
      let index = Number(slider.value) === thumbs.length - 1 ? 0 : Number(slider.value);
      show(index);
      button.textContent = "Pause";
      button.setAttribute("aria-pressed", "true");
      timer = setInterval(() => {
        index += 1;
        show(index);
        if (index === thumbs.length - 1) stop();
      }, 180);
    });
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    thumbs.forEach((thumb, index) => thumb.addEventListener("click", () => { stop(); show(index); }));
    show(thumbs.length - 1);
  }

  // --- Sentences, tick by tick ---------------------------------------------------------------------------------------------------

  const reader = document.querySelector(".reader");
  const moments = [...document.querySelectorAll(".moments [data-moment]")];
  if (reader && moments.length > 1) {
    const slider = reader.querySelector("input"), button = reader.querySelector(".play"), page = reader.querySelector(".said");
    let timer = null;
    const show = (index) => {
      slider.value = index;
      slider.setAttribute("aria-valuetext", moments[index].dataset.moment);
      reader.querySelector(".at").textContent = moments[index].dataset.moment;
      page.replaceChildren(...[...moments[index].querySelector(".said").childNodes].map((node) => node.cloneNode(true)));
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
      button.setAttribute("aria-pressed", "false");
    };
    button.addEventListener("click", () => {
      if (timer !== null) return stop();
      let index = Number(slider.value) === moments.length - 1 ? 0 : Number(slider.value);
      show(index);
      button.textContent = "Pause";
      button.setAttribute("aria-pressed", "true");
      timer = setInterval(() => {
        index += 1;
        show(index);
        if (index === moments.length - 1) stop();
      }, 700);
    });
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  }

  // --- Clips that play -----------------------------------------------------------------------------------------------------------

  for (const box of document.querySelectorAll(".moving")) {
    const picture = box.querySelector("img"), source = box.querySelector("source"), button = box.querySelector(".halt");
    const film = picture.src, calm = matchMedia(source.media).matches;
    const show = (halted) => {
      source.remove(); // what was asked for by hand holds
      picture.src = halted ? picture.dataset.still : film;
      button.textContent = halted ? "Play" : "Halt";
      button.setAttribute("aria-pressed", String(halted));
    };
    if (calm) show(true);
    button.addEventListener("click", () => show(button.textContent === "Halt"));
  }

  // --- Copying -----------------------------------------------------------------------------------------------------------------

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      let done = true;
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch { // no permission: mark the text, so that one key copies it
        getSelection().selectAllChildren(code);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Marked";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  root.dataset.ready = "1"; // from here on the page's style shows what needs a script
  redraw();
})();
