"use strict";
for (const box of document.querySelectorAll("[data-toggle]")) {
  box.addEventListener("change", () => document.body.classList.toggle(box.dataset.toggle, box.checked));
}

const gallery = document.querySelector(".gallery");
const pictures = [...gallery.children];
const group = document.getElementById("group");
const order = document.getElementById("order");

function arrange() {
  const by = order.value;
  const sorted = by ? [...pictures].sort((a, b) => b.dataset[by] - a.dataset[by]) : pictures;
  for (const picture of sorted) {
    picture.hidden = group.value !== "" && picture.dataset.group !== group.value;
    gallery.append(picture);
  }
}
group.addEventListener("change", arrange);
order.addEventListener("change", arrange);

function compare(a, b) {
  return a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const descending = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)));
      body.append(...(descending ? rows.reverse() : rows));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
