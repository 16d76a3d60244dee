// What scripts share that look at a page: faults of the page, and waiting for what it does.
const faults = [];
window.addEventListener("error", event => faults.push(`error: ${event.message}`));
window.addEventListener("unhandledrejection", event => faults.push(`rejection: ${event.reason}`));

const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

async function eventually(condition) {
    for (let tries = 0; tries < 100; tries++) {
        const found = condition();
        if (found) return found;
        await wait(20);
    }
    return null;
}
