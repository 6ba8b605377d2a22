"use strict";
// Sorting by column, where a script may run. Without it every table is complete, in its own order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  if (body.rows.length < 2) continue;
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    const number = parseFloat(cell.dataset.v ?? cell.textContent);
    return Number.isNaN(number) ? null : number;
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = down ? "descending" : "ascending";
      const text = (row) => row.cells[column]?.textContent.trim() ?? "";
      const order = (a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        if (x !== null && y !== null) return x - y;
        if (x !== null || y !== null) return x !== null ? 1 : -1;
        return text(a).localeCompare(text(b));
      };
      body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
    });
  });
}
