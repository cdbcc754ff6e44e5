/**
 * Room: report/compare. What the page does where scripts run: filters, sorting, and a line that says what a mark is. Without it everything is
 * there, nothing is filtered. Plain JavaScript for browsers, as text.
 */

/** `frontOf(points, isUp)`: of points in pixels those that no other is left of, or as far left, and better. In the order of x. */
export const FRONT_SCRIPT = `
const frontOf = (points, isUp) => {
  const sign = isUp ? 1 : -1;
  const front = [];
  for (const point of [...points].sort((a, b) => a.x - b.x || sign * (a.y - b.y)))
    if (front.length === 0 || sign * (front.at(-1).y - point.y) > 0) front.push(point);
  return front;
};`;

export const SCRIPT = `(() => {
'use strict';
${FRONT_SCRIPT}
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const data = JSON.parse(document.getElementById('data').textContent);
const controls = document.getElementById('controls');
const [task, axis] = ['task', 'axis'].map((id) => document.getElementById(id));
const methods = all('input[name="method"]');
const chosen = () => new Set(methods.filter((box) => box.checked).map((box) => box.value));

const drawFront = (svg) => {
  const points = all('.mean', svg).flatMap((mark) =>
    mark.style.display === 'none' ? [] : [{ mark, x: Number(mark.dataset.x), y: Number(mark.dataset.y) }]);
  const front = frontOf(points, svg.dataset.better === 'up');
  const isOn = ({ x, y }) => front.some((point) => point.x === x && point.y === y);
  for (const point of points) point.mark.classList.toggle('on', isOn(point));
  const steps = front.map(({ x, y }, i) => (i === 0 ? 'M' + x + ' ' + y : 'H' + x + 'V' + y)).join('');
  svg.querySelector('.front').setAttribute('d', steps === '' ? '' : steps + 'H' + svg.dataset.right);
};

const show = () => {
  const names = chosen();
  for (const part of all('section[data-task]')) part.hidden = task.value !== '' && part.dataset.task !== task.value;
  document.querySelector('.tasks').classList.toggle('one', task.value !== '');
  for (const panel of all('[data-axis]')) panel.hidden = panel.dataset.axis !== axis.value;
  for (const mark of all('[data-method]')) mark.style.display = names.has(mark.dataset.method) ? '' : 'none';
  all('svg[data-better]').forEach(drawFront);
  let shown = 0;
  for (const { row, facts } of rows) {
    row.hidden = (task.value !== '' && facts.task !== task.value) || !names.has(facts.method);
    if (facts.kind === 'run' && !row.hidden) shown++;
  }
  document.getElementById('shown').textContent = shown + (shown === 1 ? ' run is' : ' runs are') + ' shown.';
};

const sorting = (table) => {
  let last = { column: -1, sign: -1 };
  const sortBy = (column) => {
    const sign = last.column === column ? -last.sign : 1;
    last = { column, sign };
    const own = rows.filter(({ row }) => row.closest('table') === table);
    const compare = (a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true }));
    const order = ({ facts: { values: a } }, { facts: { values: b } }) =>
      (a[column] === null) - (b[column] === null) || (a[column] === null ? 0 : sign * compare(a[column], b[column]));
    table.tBodies[0].append(...own.sort(order).map(({ row }) => row));
    all('thead th', table).forEach((head, i) => {
      if (i === column) head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
    });
  };
  all('thead th', table).forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    button.addEventListener('click', () => sortBy(column));
    head.append(button);
  });
};

const readout = document.getElementById('readout');
const tell = ({ target }) => {
  const title = target.closest('.run, .mean')?.querySelector('title');
  if (title) readout.textContent = title.textContent;
};

const fromAddress = () => {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const pick = (select, value) => {
    if (value !== null && [...select.options].some((option) => option.value === value)) select.value = value;
  };
  pick(task, wanted.get('task'));
  pick(axis, wanted.get('x'));
  const names = wanted.get('method')?.split(',');
  if (names && methods.some((box) => names.includes(box.value))) for (const box of methods) box.checked = names.includes(box.value);
};
const toAddress = () => {
  const names = chosen();
  const wanted = new URLSearchParams({ ...(task.value !== '' && { task: task.value }), x: axis.value });
  if (names.size < methods.length) wanted.set('method', [...names].join(','));
  history.replaceState(null, '', '#' + wanted.toString());
};

const rows = ['configurations', 'runs'].flatMap((id) => {
  const table = document.querySelector('#' + id + ' table');
  return [...table.tBodies[0].rows].map((row, i) => ({ row, facts: data[id][i] }));
});
for (const id of ['configurations', 'runs']) sorting(document.querySelector('#' + id + ' table'));
controls.hidden = false;
document.body.classList.add('filtered');
fromAddress();
show();
controls.addEventListener('change', () => {
  show();
  toAddress();
});
addEventListener('hashchange', () => {
  fromAddress();
  show();
});
for (const type of ['pointerover', 'focusin', 'click']) document.addEventListener(type, tell);
})();`;
