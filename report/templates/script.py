"""The one script of every page: tables are sorted by buttons in their headings.

The buttons are made by the script, so that a page without it has none that do nothing.
"""

SCRIPT = """
const key = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
};
const compare = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  const numbers = [Number(a), Number(b)];
  return numbers.some(Number.isNaN)
    ? a.localeCompare(b, undefined, {numeric: true}) : numbers[0] - numbers[1];
};
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      const empty = (row) => key(row, column) === "";
      rows.sort((a, b) => compare(key(a, column), key(b, column))
        * (down && !empty(a) && !empty(b) ? -1 : 1));
      table.tBodies[0].append(...rows);
    });
  });
}
"""
