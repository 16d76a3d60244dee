// Runs inside the report: opens every result as a reader would, and leaves what it found in the document's title.

function isShown(element) {
    const box = element.getBoundingClientRect();
    const pane = element.closest(".grow.overflow-auto");
    // larger than the pane is fine as long as scrolling reaches its upper left corner
    return box.width > 200 && box.height > 100 && box.left + pane.scrollLeft >= 0 && box.top + pane.scrollTop >= 0;
}

async function isOpen(path) {
    if (!await eventually(() => app.state.contentPath === results[path].data_uri)) return false;
    if (!path.endsWith(".png")) return isShown(await eventually(() => document.querySelector(".grow.overflow-auto iframe")));
    const image = await eventually(() => {
        const shown = document.querySelector(".grow.overflow-auto img");
        return shown && shown.src === results[path].data_uri && shown.complete && shown.naturalWidth ? shown : null;
    });
    return image && isShown(image);
}

async function openByName(category, path) {
    app.showCategory(category);
    const name = results[path].labels.shows;
    const cell = await eventually(() => [...document.querySelectorAll("nav tbody td")].find(td => td.innerText === name));
    if (!cell) return faults.push(`${path}: not listed`);
    cell.scrollIntoView({ block: "center" });
    const box = cell.getBoundingClientRect();
    const link = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2).closest("a");
    if (!link) return faults.push(`${path}: its name cannot be clicked`);
    link.click();
    if (!await isOpen(path)) faults.push(`${path}: not visible`);
    app.showResultInfo(path);
    const caption = await eventually(() => document.querySelector(".prose-invert"));
    if (!caption || caption.innerText.length < 100) faults.push(`${path}: no caption`);
}

async function followLinks() {
    app.setView({ content: "rulegraph" });
    const links = await eventually(() => {
        const found = [...document.querySelectorAll("a[href^='javascript:app.setView']")];
        return found.length ? found : null;
    });
    if (!links) faults.push("no links on the first page");
    for (const link of links || []) {
        const target = decodeURI(link.href.match(/resultPath:'(.*?)'/)[1]);
        app.setView({ navbarMode: "menu", content: "stats" });
        await eventually(() => app.state.navbarMode === "menu" && app.state.content === "stats");
        link.click();
        const opened = await eventually(() => app.state.navbarMode === "resultinfo" && app.state.resultPath);
        if (opened !== target || !(target in results)) faults.push(`${link.innerText}: leads to ${opened}`);
        else if (!await isOpen(target)) faults.push(`${link.innerText}: not visible`);
    }
    return (links || []).length;
}

window.addEventListener("load", async () => {
    await eventually(() => typeof app !== "undefined" && app);
    const links = await followLinks();
    for (const [category, groups] of Object.entries(categories)) {
        for (const path of Object.values(groups).flat()) await openByName(category, path);
    }
    document.title = JSON.stringify({ faults, links, results: Object.keys(results) });
});
