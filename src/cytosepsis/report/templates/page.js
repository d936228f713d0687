"use strict";
(function () {
  const PER_PAGE = 100;
  const PRINTED = 1000;

  function text(element, words) { element.textContent = words; return element; }
  function make(name, className) {
    const element = document.createElement(name);
    if (className) { element.className = className; }
    return element;
  }
  function shown(value) { return Array.isArray(value) ? value[0] : value; }
  function codes(value) { return value ? String(value).split(";") : []; }

  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  function figure(value) {
    if (Number.isInteger(value)) { return whole.format(value); }
    if (Math.abs(value) >= 1000) { return whole.format(value); }
    return String(Number(value.toPrecision(3)));
  }

  function cell(value, head) {
    const td = make("td", head.kind === "number" ? "number" : "");
    const plain = shown(value);
    if (plain === null || plain === "") { return text(td, "–"); }
    if (head.kind === "link" && value[1]) {
      const a = make("a");
      a.href = value[1];
      td.append(text(a, plain));
    } else if (head.kind === "status") {
      const known = ["ok", "flagged", "failed"].includes(plain) ? plain : "";
      td.append(text(make("span", "status " + known), plain));
    } else if (head.kind === "flags") {
      text(td, codes(plain).join(", "));
    } else if (typeof plain === "number") {
      text(td, figure(plain));
    } else {
      text(td, String(plain));
    }
    return td;
  }

  function compare(a, b) {
    const left = shown(a), right = shown(b);
    const leftNone = left === null || left === "", rightNone = right === null || right === "";
    if (leftNone || rightNone) { return leftNone - rightNone; }
    if (typeof left === "number" && typeof right === "number") { return left - right; }
    return String(left).localeCompare(String(right), "en", { numeric: true });
  }

  class Grid {
    constructor(section) {
      const data = JSON.parse(section.querySelector("script").textContent);
      this.section = section;
      this.heads = data.heads;
      this.rows = data.rows;
      this.sort = null;
      this.first = 0;
      this.all = false;
      this.search = section.querySelector("input");
      this.selects = [];
      this.drawHead();
      this.drawChoices();
      section.querySelector(".controls").hidden = false;
      this.search.addEventListener("input", () => this.refilter());
      section.querySelector(".clear").addEventListener("click", () => this.clear());
      section.querySelector(".before").addEventListener("click", () => this.turn(-PER_PAGE));
      section.querySelector(".after").addEventListener("click", () => this.turn(PER_PAGE));
      this.fromAddress();
      this.refilter();
    }

    drawHead() {
      const row = make("tr");
      this.heads.forEach((head, index) => {
        const th = make("th", head.kind === "number" ? "number" : "");
        th.scope = "col";
        if (head.title) { th.title = head.title; }
        const button = text(make("button"), head.label);
        button.type = "button";
        button.addEventListener("click", () => this.sortBy(index));
        th.append(button);
        row.append(th);
      });
      this.section.querySelector("thead").append(row);
    }

    drawChoices() {
      const place = this.section.querySelector(".choices");
      this.heads.forEach((head, index) => {
        if (!head.choose) { return; }
        const values = new Set();
        for (const row of this.rows) {
          const value = shown(row[index]);
          (head.kind === "flags" ? codes(value) : [value]).forEach((each) => {
            if (each !== null && each !== "") { values.add(String(each)); }
          });
        }
        if (values.size < 2 && head.kind !== "flags") { return; }
        if (values.size === 0) { return; }
        const label = text(make("label"), head.label + " ");
        const select = make("select");
        select.append(new Option("all", ""));
        [...values].sort(compare).forEach((each) => select.append(new Option(each, each)));
        select.addEventListener("change", () => this.refilter());
        label.append(select);
        place.append(label);
        this.selects.push({ index, head, select });
      });
    }

    // index.html#samples?Flags=few_cells: a link to a table that is filtered already
    fromAddress() {
      const [name, query] = location.hash.slice(1).split("?");
      if (name !== this.section.id || !query) { return; }
      const wanted = new URLSearchParams(query);
      for (const { head, select } of this.selects) {
        const value = wanted.get(head.label);
        if (value !== null) { select.value = value; if (select.selectedIndex < 0) { select.value = ""; } }
      }
      this.search.value = wanted.get("search") || "";
      this.section.scrollIntoView();
    }

    clear() {
      this.search.value = "";
      this.selects.forEach(({ select }) => { select.value = ""; });
      this.refilter();
      this.search.focus();
    }

    refilter() {
      const words = this.search.value.trim().toLowerCase();
      this.found = this.rows.filter((row) => this.selects.every(({ index, head, select }) => {
        if (select.value === "") { return true; }
        const value = shown(row[index]);
        return head.kind === "flags" ? codes(value).includes(select.value) : String(value) === select.value;
      }) && (words === "" || row.some((value) => value !== null && String(shown(value)).toLowerCase().includes(words))));
      this.first = 0;
      this.order();
    }

    sortBy(index) {
      const turned = this.sort && this.sort.index === index && this.sort.way === 1;
      this.sort = { index, way: turned ? -1 : 1 };
      this.section.querySelectorAll("th").forEach((th, place) => {
        if (place === index) { th.setAttribute("aria-sort", turned ? "descending" : "ascending"); }
        else { th.removeAttribute("aria-sort"); }
      });
      this.first = 0;
      this.order();
    }

    order() {
      this.sorted = this.found;
      if (this.sort) {
        const { index, way } = this.sort;
        const none = (row) => shown(row[index]) === null || shown(row[index]) === "";
        this.sorted = [...this.found].sort((a, b) => none(a) || none(b) ? none(a) - none(b) : way * compare(a[index], b[index]));
      }
      this.draw();
    }

    turn(by) { this.first += by; this.draw(); }

    draw() {
      const n = this.sorted.length;
      const last = this.all ? Math.min(n, PRINTED) : Math.min(n, this.first + PER_PAGE);
      const first = this.all ? 0 : this.first;
      const body = this.section.querySelector("tbody");
      body.replaceChildren(...this.sorted.slice(first, last).map((row) => {
        const tr = make("tr");
        row.forEach((value, index) => tr.append(cell(value, this.heads[index])));
        return tr;
      }));
      const total = this.rows.length;
      const words = n === total ? `${whole.format(total)} rows` : `${whole.format(n)} of ${whole.format(total)} rows`;
      text(this.section.querySelector(".state"), words);
      const pager = this.section.querySelector(".pager");
      pager.hidden = n <= PER_PAGE;
      text(pager.querySelector(".where"), `${whole.format(first + 1)} to ${whole.format(last)} of ${whole.format(n)}`);
      pager.querySelector(".before").disabled = first === 0;
      pager.querySelector(".after").disabled = last >= n;
    }
  }

  const grids = [...document.querySelectorAll("section.grid")].map((section) => new Grid(section));
  window.addEventListener("hashchange", () => grids.forEach((grid) => { grid.fromAddress(); grid.refilter(); }));
  // what is folded on the screen is wanted on paper
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
  window.addEventListener("beforeprint", () => grids.forEach((grid) => { grid.all = true; grid.draw(); }));
  window.addEventListener("afterprint", () => grids.forEach((grid) => { grid.all = false; grid.draw(); }));

  const dialog = document.getElementById("enlarged");
  const picture = dialog.querySelector("img");
  let size = 100;
  function resize(to) { size = Math.max(50, Math.min(800, to)); picture.style.width = size + "%"; }
  document.querySelectorAll(".enlarge").forEach((button) => button.addEventListener("click", () => {
    const image = button.querySelector("img");
    picture.src = image.src;
    picture.alt = image.alt;
    resize(100);
    dialog.showModal();
  }));
  dialog.querySelector('[data-zoom="in"]').addEventListener("click", () => resize(size * 1.5));
  dialog.querySelector('[data-zoom="out"]').addEventListener("click", () => resize(size / 1.5));
})();
