// Turns the page's forms into requests that do not leave it. Without this script
// the forms still work: the server answers them with the page.
"use strict";
(() => {
  const all = (selector) => document.querySelectorAll(selector);
  const one = (selector) => document.querySelector(selector);
  const setText = (selector, text) => all(selector).forEach((e) => { if (e.textContent !== text) e.textContent = text; });
  const picture = one(".picture");
  const trailLength = 8;

  // Clicks are sent one after another, so that answers come in their order.
  let queue = Promise.resolve(), sending = false;

  document.addEventListener("submit", (event) => {
    const form = event.target;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form, event.submitter));
    if (form.matches(".stage")) {
      followStage(form, { method: "POST", body });
      return;
    }
    queue = queue.then(() => send(form.getAttribute("action"), body, form.dataset.says));
  });

  async function send(path, body, says) {
    sending = true;
    try {
      const began = performance.now();
      const state = await ask(path, { method: "POST", body });
      showCart(state);
      follow(state);
      showWay(state.hop);
      addToTrail(says, state.hop, performance.now() - began);
      one("#alert").hidden = true;
      one("#says").textContent = `${says}. ${state.count} in the cart, ${state.total}. Served by ${state.hop.served}, the cart lives on ${state.hop.owner}.`;
    } catch (err) {
      one("#alert").textContent = err instanceof TypeError ? "The shop does not answer. Is it still running?" : err.message;
      one("#alert").hidden = false;
      ask("/cart").then((state) => showCart(state), () => {}); // the click may have counted
    }
    sending = false;
  }

  async function ask(path, options) {
    const answer = await fetch(path, { ...options, headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status === 422 ? "That is more than we have of that tea." : `The shop answered ${answer.status}.`);
    return answer.json();
  }

  // What another window of this browser changes comes as an event, from whatever
  // replica: the browser reconnects by itself, and says where it was.
  const windows = new BroadcastChannel("cart");
  let changes = null, shown = 0; // the newest state on the page

  function follow(state) {
    if (changes || !state.started) return; // there is nothing to follow before the first click
    changes = new EventSource("/cart/changes");
    changes.onopen = () => { one(".live").hidden = false; };
    changes.onerror = () => { one(".live").hidden = true; };
    changes.onmessage = (event) => showCart(JSON.parse(event.data), true);
    changes.addEventListener("ended", () => {
      changes.close();
      changes = null;
      shown = 0;
      one(".live").hidden = true;
    });
    windows.postMessage({ started: true }); // those that were opened before it
  }
  windows.onmessage = (event) => follow(event.data);
  follow({ started: document.body.dataset.started !== undefined });

  function showCart(state, elsewhere) {
    if (state.changes < shown) return; // what came later is on the page already
    if (elsewhere && !sending && state.changes > shown) {
      one("#says").textContent = `Changed in another window. ${state.count} in the cart, ${state.total}.`;
      for (const line of state.lines) {
        const row = one(`[data-line="${line.sku}"]`);
        row.classList.remove("changed");
        void row.getBoundingClientRect(); // so that the animation starts anew
        row.classList.toggle("changed", row.querySelector("output").textContent !== String(line.qty));
      }
    }
    shown = state.changes;
    const focused = document.activeElement;
    for (const line of state.lines) {
      setText(`[data-qty="${line.sku}"]`, String(line.qty));
      setText(`[data-sum="${line.sku}"]`, line.sum);
      all(`[data-badge="${line.sku}"], [data-line="${line.sku}"]`).forEach((e) => { e.hidden = line.qty === 0; });
    }
    setText('[data-text="count"]', String(state.count));
    setText('[data-text="total"]', state.total);
    all('[data-when="empty"]').forEach((e) => { e.hidden = state.count > 0; });
    all('[data-when="full"]').forEach((e) => { e.hidden = state.count === 0; });
    // What had the focus may be gone with its line.
    if (focused && focused.closest("[hidden]")) one("#cart-title").focus({ preventScroll: true });
  }

  function showWay(hop) {
    for (const name of ["served", "owner", "took", "session", "partition"]) setText(`[data-text="${name}"]`, String(hop[name]));
    setText('[data-text="how"]', hop.forwarded ? "forwarded" : "local");
    const on = (selector, key, value, name) => all(selector).forEach((e) => e.classList.toggle(name, e.dataset[key] === value));
    one('.kill input').value = hop.owner;
    on("[data-wire]", "wire", hop.served, "on");
    on("[data-way]", "way", hop.way, "on");
    on("[data-node]", "node", hop.served, "served");
    on("[data-node]", "node", hop.owner, "owner");
    picture.classList.remove("run");
    void picture.getBoundingClientRect(); // so that the animation starts anew
    picture.classList.add("run");
  }

  function addToTrail(says, hop, took) {
    const body = one(".trail tbody");
    const row = body.insertRow(0);
    const cell = (text, className) => { const td = row.insertCell(); td.textContent = text; td.className = className || ""; return td; };
    const who = (name) => { const b = document.createElement("b"); b.className = "who"; b.textContent = name; cell("").append(b); };
    cell(says);
    who(hop.served);
    who(hop.owner);
    cell(hop.forwarded ? "forwarded" : "local");
    cell(hop.took, "num");
    cell(`${took.toFixed(1)} ms`, "num");
    while (body.rows.length > trailLength) body.deleteRow(-1);
  }

  // What somebody has begun, here or elsewhere, is shown until it is over: a restart
  // of all replicas, or a replica that is killed.
  async function followStage(form, options) {
    const button = form.querySelector("button"), says = form.querySelector("[role=status]"), path = form.getAttribute("action");
    if (button.disabled) return;
    button.disabled = true;
    if (options) says.textContent = "";
    try {
      let state = await ask(path, options);
      if (options && !state.rolling && !state.killing) state.says = "Not now: something else is under way.";
      const done = state.done;
      for (; state.rolling || state.killing; state = await ask(path)) {
        showStage(form, says, state);
        await new Promise((later) => setTimeout(later, 200));
      }
      if (state.says) says.textContent = state.says; // at first what the last kill has shown
      else if (state.done > done) says.textContent = "All replicas were restarted; the carts have stayed.";
    } catch {
      says.textContent = "The balancer does not answer.";
    }
    one(".roll .going").hidden = true;
    button.disabled = false;
  }

  function showStage(form, says, state) {
    const text = state.says || `${state.replica} ${state.doing}`;
    if (says.textContent !== text) says.textContent = text;
    if (!form.matches(".roll")) return;
    one(".roll .going").hidden = false;
    one(".roll progress").value = state.percent;
  }
  all(".stage").forEach((form) => followStage(form));
})();
