// Runs inside the page to explore scores: chooses, sorts and switches as a reader would, and leaves what it found in the
// document's title.

/** All elements that match, also those in shadow roots. */
function all(selector, root = document) {
    const inside = [...root.querySelectorAll("*")].filter(element => element.shadowRoot);
    return [...root.querySelectorAll(selector), ...inside.flatMap(element => all(selector, element.shadowRoot))];
}

const isShown = element => element.getBoundingClientRect().width > 0;
const cells = () => all(".slick-row").filter(isShown).map(row => [...row.children].map(cell => cell.innerText.trim()));
const longRows = () => cells().filter(row => row.length === 6);
const shortRows = () => cells().filter(row => row.length === 4);

function model(type, has) {
    return [...Bokeh.documents[0]._all_models.values()].find(found => found.type === type && has(found));
}

async function click(text) {
    const head = all(".slick-header-column").filter(isShown).reverse().find(head => head.innerText.trim() === text);
    head.click();
    await wait(200);
}

async function look() {
    const found = { tabs: all(".bk-tab").map(tab => tab.innerText) };
    const methods = model("MultiChoice", widget => widget.name);
    const tasks = model("MultiChoice", widget => widget.title === "Tasks");
    const shown = model("IndexFilter", () => true);
    const lines = () => [...Bokeh.documents[0]._all_models.values()].filter(
        renderer => renderer.type === "GlyphRenderer" && renderer.glyph.type === "Line" && renderer.visible,
    );
    const names = widget => widget.options.map(([name]) => name);
    found.methods = names(methods);
    found.runs = shown.indices.length;
    found.summary = shortRows();
    await click("Score");
    found.lowest = longRows()[0];
    await click("Score");
    found.highest = longRows()[0];
    found.lines = lines().length;
    const legend = model("LegendItem", () => true);
    legend.renderers[0].visible = false;
    found.linesLeft = lines().length;
    methods.value = names(methods).slice(0, 1);
    tasks.value = names(tasks).slice(0, 1);
    await wait(300);
    found.chosen = longRows();
    found.labels = all(".choices__item").map(item => item.innerText.trim()).filter(label => label.includes("onerror"));
    found.pictures = all("img").length;
    found.requests = performance.getEntriesByType("resource").map(entry => entry.name).filter(name => /^https?:/.test(name));
    return found;
}

window.addEventListener("load", async () => {
    await eventually(() => typeof Bokeh !== "undefined" && Bokeh.documents.length && longRows().length && shortRows().length);
    const found = await look().catch(fault => ({ fault: `${fault.stack}` }));
    document.title = JSON.stringify({ faults, ...found });
});
