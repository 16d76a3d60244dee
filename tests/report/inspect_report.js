// Runs inside the report: opens every result as a reader would, and leaves what it found in the document's title.

function isShown(element) {
    const box = element.getBoundingClientRect();
    const pane = element.closest(".grow.overflow-auto");
    // larger than the pane is fine as long as scrolling reaches its upper left corner
    return box.width > 200 && box.height > 100 && box.left + pane.scrollLeft >= 0 && box.top + pane.scrollTop >= 0;
}

async function openResult(path) {
    app.showResultInfo(path);
    const caption = await eventually(() => document.querySelector(".prose-invert"));
    if (!caption || caption.innerText.length < 100) faults.push(`${path}: no caption`);
    new ButtonViewManager(app).handleSelectedResult(path).props.onClick();
    if (path.endsWith(".png")) {
        const image = await eventually(() => {
            const shown = document.querySelector(".grow.overflow-auto img");
            return shown && shown.src === results[path].data_uri && shown.complete && shown.naturalWidth ? shown : null;
        });
        if (!image || !isShown(image)) faults.push(`${path}: not visible`);
    } else {
        const frame = await eventually(() => document.querySelector(".grow.overflow-auto iframe"));
        if (!frame || !isShown(frame)) faults.push(`${path}: not visible`);
    }
}

async function followLinks() {
    app.setView({ content: "rulegraph" });
    const links = await eventually(() => {
        const found = [...document.querySelectorAll("a[href^='javascript:app.showResultInfo']")];
        return found.length ? found : null;
    });
    if (!links) faults.push("no links on the first page");
    for (const link of links || []) {
        const target = decodeURI(link.href.match(/'(.*)'/)[1]);
        app.setView({ navbarMode: "menu" });
        await eventually(() => app.state.navbarMode === "menu");
        link.click();
        const opened = await eventually(() => app.state.navbarMode === "resultinfo" && app.state.resultPath);
        if (opened !== target || !(target in results)) faults.push(`${link.innerText}: leads to ${opened}`);
    }
    return (links || []).length;
}

window.addEventListener("load", async () => {
    await eventually(() => typeof app !== "undefined" && app);
    const links = await followLinks();
    for (const path of Object.keys(results)) await openResult(path);
    document.title = JSON.stringify({ faults, links, results: Object.keys(results) });
});
