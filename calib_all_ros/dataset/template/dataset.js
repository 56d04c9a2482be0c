"use strict";
const table = document.getElementById("table");
const body = table.tBodies[0];
const rows = [...body.rows];
const headers = [...table.tHead.rows[0].cells];

function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value;
  return text === undefined ? cell.textContent.trim() : text === "" ? null : Number(text);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

headers.forEach((header, column) => {
  header.addEventListener("click", () => {
    const down = header.getAttribute("aria-sort") === "ascending";
    headers.forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const ordered = rows.map((row) => [value(row, column), row]);
    // What is not known stays at the end, whichever way the rest goes.
    ordered.sort(([a], [b]) => a === null || b === null
      ? (a === null) - (b === null)
      : (down ? -1 : 1) * compare(a, b));
    body.append(...ordered.map(([, row]) => row));
  });
});

const filter = document.getElementById("filter");
const boxes = [...document.querySelectorAll("input.show")];

function show() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !shown.has(row.dataset.verdict) || !words.every((word) => text.includes(word));
  }
}

filter.addEventListener("input", show);
boxes.forEach((box) => box.addEventListener("change", show));
