// Runs in the page to explore scores whenever a choice changes, and once when the page was loaded.
// Given by bokeh: methods, tasks, curve (widgets); scores, shown (runs and which are shown); summary, range (bars);
// curves, lines, bands (all curves, and the renderers of each method).
const chosen = widget => new Set(widget.value.length ? widget.value : widget.options.map(([name]) => name));
const [someMethods, someTasks] = [chosen(methods), chosen(tasks)];
const column = name => scores.data[name];

const indices = [];
const byMethod = new Map();
for (let i = 0; i < column("score").length; i++) {
    const [method, task] = [column("method")[i], column("task")[i]];
    if (!someMethods.has(method) || !someTasks.has(task)) continue;
    indices.push(i);
    if (!byMethod.has(method)) byMethod.set(method, new Map());
    const byTask = byMethod.get(method);
    if (!byTask.has(task)) byTask.set(task, []);
    byTask.get(task).push(column("normalized")[i]);
}
const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;
const rows = [...byMethod].map(([method, byTask]) => ({
    method,
    color: methods.tags[0][method],
    normalized: mean([...byTask.values()].map(mean)),
    tasks: byTask.size,
    runs: [...byTask.values()].reduce((sum, runs) => sum + runs.length, 0),
}));
rows.sort((one, other) => other.tasks - one.tasks || other.normalized - one.normalized);
range.factors = rows.map(row => row.method).reverse();
summary.data = Object.fromEntries(Object.keys(summary.data).map(name => [name, rows.map(row => row[name])]));
shown.indices = indices;
scores.change.emit();

const of = (method, name) =>
    [...curves.data[name]].filter((_, i) => curves.data.method[i] === method && curves.data.task[i] === curve.value);
for (const [method, line] of Object.entries(lines)) {
    const data = Object.fromEntries(["steps", "value", "low", "high"].map(name => [name, of(method, name)]));
    line.data_source.data = data;
    line.visible = bands[method].visible = someMethods.has(method) && data.steps.length > 0;
}
