// What makes the pages pleasant. Every task works without this file, except that a waiting answer must be refreshed by hand.

const root = document.documentElement;
root.classList.add("script");

const palette = document.getElementById("palette");
const scanBox = () => document.getElementById("scan-number");
const articleBox = () => document.querySelector("[data-article]"); // of a basket: there goods are scanned, not cards
const isField = (element) => element instanceof Element && element.matches("input:not([type=checkbox]), select, textarea, [contenteditable]");
const isPending = () => document.querySelector("[data-pending]") !== null;

// ---- Keys: `/` or F2 opens the scan box, Esc closes menus, a scan from anywhere lands in the box

const keepSetting = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window: the choice lasts for this page */ } };
const readSetting = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const shortcuts = document.body.dataset.singleKeys !== "off"; // each person's own choice
root.classList.toggle("no-shortcuts", !shortcuts);

function openScanBox() {
  const box = scanBox();
  if (!box) return;
  box.focus();
  box.select();
}

// A hand types a key in 80 ms at best, a scanner in under 30.
const SCAN_GAP_MS = 50;
const SCAN_LENGTH = 6;
let burst = "";
let lastKeyAt = 0;
let arrivedBy = "K"; // how the number came: B a barcode, M a magnetic stripe, K typed

document.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && palette) {
    event.preventDefault();
    openPalette(document.querySelector("[data-palette]").href);
    return;
  }
  if (palette?.open) return keyInPalette(event);
  const fast = event.timeStamp - lastKeyAt < SCAN_GAP_MS;
  const scanned = fast && burst.length >= SCAN_LENGTH;
  const printable = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (printable) {
    burst = fast ? burst + event.key : event.key;
    lastKeyAt = event.timeStamp;
  }

  if ((event.key === "Enter" || event.key === "Tab") && event.target === scanBox()) arrivedBy = scanned ? "B" : "K";

  if (event.key === "F8" && document.querySelector("[data-lock]")) {
    event.preventDefault();
    document.querySelector("[data-lock]").requestSubmit();
  } else if (event.key === "Enter" && fast && event.target.closest("[data-unlock]")) {
    event.preventDefault(); // a scanner's Enter never unlocks
    document.querySelector("[data-pin]").value = "";
  } else if (event.key === "F2") {
    event.preventDefault();
    openScanBox();
  } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const button = document.querySelector("[data-confirm-button]:enabled");
    if (button) button.form.requestSubmit(button);
  } else if (event.key === "Enter" && fast && event.target.matches("[data-confirm-button], [data-back]")) {
    event.preventDefault(); // a scanner's Enter never confirms
  } else if (event.key === "Enter" && scanned && event.target.matches("[data-line]")) {
    event.preventDefault(); // an article scanned while a line is being filled in
    event.target.value = event.target.value.slice(0, -burst.length);
    articleBox().value = burst;
    articleBox().form.requestSubmit();
  } else if (event.key === "Enter" && fast && event.target.matches("[data-first-beat] [type=submit]") && articleBox()) {
    event.preventDefault(); // a scanner's Enter goes no further than its line
  } else if (event.key === "Enter" && scanned && event.target.matches("[data-amount]")) {
    event.preventDefault();
    event.target.closest(".field").querySelector("[data-scan-hint]").hidden = false;
  } else if (event.key === "Escape") {
    [burst, lastKeyAt] = ["", 0]; // what is pressed next stands alone
    if (!closeMenus(true)) goBack();
  } else if (event.key === "Tab" && scanned && event.target === scanBox()) {
    event.preventDefault(); // scanners set to end with Tab mean Enter
    event.target.form.requestSubmit();
  } else if (printable && !isField(document.activeElement)) {
    if (event.key === "/" && shortcuts && !fast) {
      event.preventDefault();
      openScanBox();
    } else if (burst.length === 1 && shortcuts && !event.repeat) {
      // A scanned card may begin with any letter: a hand leaves it standing alone.
      setTimeout((at) => { if (lastKeyAt === at) pressedAlone(event.key); }, 2 * SCAN_GAP_MS, lastKeyAt);
    } else if (burst.length === SCAN_LENGTH && (articleBox() || scanBox())) {
      const box = articleBox() || scanBox();
      event.preventDefault();
      box.focus();
      box.value = burst;
    }
  }
});

const GO_MS = 1500;
let goingUntil = 0;

// `g` and a letter goes to a place, `?` shows the keys, any other letter opens an action of the page.
function pressedAlone(key) {
  const going = performance.now() < goingUntil;
  goingUntil = !going && key === "g" ? performance.now() + GO_MS : 0;
  const letter = CSS.escape(key.toLowerCase());
  if (going) document.querySelector(`[data-go="${letter}"]`)?.click();
  else if (key === "?" && palette) openPalette(palette.dataset.keysUrl);
  else if (key !== "g") document.querySelector(`[data-key="${letter}"]`)?.click();
}

// Esc leaves the field first, then the question or the page.
function goBack() {
  if (isField(document.activeElement) && document.activeElement !== document.body) document.activeElement.blur();
  else document.querySelector("[data-back]")?.click();
}

// ---- The palette: the search, or the keyboard map, over whatever page is open

function openPalette(url) {
  const here = document.querySelector("main [data-finder]");
  if (location.pathname === new URL(url, location).pathname) return here?.focus(); // it is this page
  htmx.ajax("GET", url, { target: "#palette-body", swap: "innerHTML" }).then(() => {
    const body = document.getElementById("palette-body");
    if (!body.childElementCount) return location.assign(url); // no fragment came: the page says why
    if (!palette.open) palette.showModal();
    (body.querySelector("[autofocus]") || palette).focus();
    body.scrollTop = 0; // the first thing that takes the focus by itself may stand at the end
  });
}

function keyInPalette(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = [...palette.querySelectorAll("#found a")];
  if (step && links.length) {
    event.preventDefault();
    const next = links.indexOf(document.activeElement) + step;
    (links[next] || palette.querySelector("[data-finder]")).focus();
  } else if (event.key === "Enter" && event.target.matches("[data-finder]")) {
    // Only what was found for just these letters; otherwise Enter searches.
    const found = document.getElementById("found");
    if (found.dataset.for !== event.target.value.trim() || !found.dataset.for || !links.length) return;
    event.preventDefault();
    links[0].click();
  }
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-palette]");
  if (opener && palette && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    openPalette(opener.href);
  } else if (palette?.open && event.target === palette) palette.close(); // the ground around it
});
palette?.addEventListener("close", () => { document.getElementById("palette-body").replaceChildren(); });

// ---- Scan box: what scanners add around the number

function plainScan(text) {
  let number = text.replace(/[\u0000-\u001f\u007f\u200b-\u200f\ufeff]/g, "").trim();
  number = number.replace(/^\][A-Za-z][0-9]/, ""); // the code's kind, "]C1"
  if (/^[%;]/.test(number)) arrivedBy = "M";
  const track = number.match(/^(?:%[A-Za-z]?([^^?]+)\^.*|;([^=?]+)(?:=.*)?)\??/); // magnetic stripe, tracks 1 and 2
  return track ? (track[1] || track[2]).trim() : number;
}

// ---- Forms: said once, sent once

const RELEASE_MS = 10000;

function release(form) {
  for (const button of form.querySelectorAll("button[data-busy]")) {
    button.disabled = false;
    button.removeAttribute("data-busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-scan]")) {
    const box = form.querySelector("#scan-number");
    box.value = plainScan(box.value);
    const how = form.elements.entry_type || form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name: "entry_type" }));
    how.value = arrivedBy;
    arrivedBy = "K";
  }
  if (!navigator.onLine && !form.hasAttribute("data-tried")) {
    // The system says there is no network; our own server may still be near. Ask it before letting the page go.
    event.preventDefault();
    const submitter = event.submitter;
    near().then((answers) => {
      showStrip(answers ? null : "offline");
      if (!answers) return;
      form.setAttribute("data-tried", "");
      form.requestSubmit(submitter);
      form.removeAttribute("data-tried");
    });
    return;
  }
  setTimeout(() => {
    for (const button of form.querySelectorAll("button:not([type=button]):enabled")) {
      button.disabled = true;
      button.setAttribute("data-busy", "");
    }
  });
  setTimeout(release, RELEASE_MS, form);
});

window.addEventListener("pageshow", () => {
  for (const form of document.forms) release(form);
});

document.addEventListener("click", (event) => {
  const fill = event.target.closest("[data-fill-login]");
  if (!fill) return;
  document.querySelector("[name=login]").value = fill.dataset.fillLogin;
  const password = document.querySelector("[name=password]");
  password.value = fill.dataset.fillPassword;
  password.form.querySelector("[type=submit]").focus();
});

// ---- Opening a shop: this browser's time zone tells which of a country's zones is meant

for (const hint of document.querySelectorAll("[data-browser-zone]")) {
  hint.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  const zones = document.querySelector("#proposals optgroup");
  if (zones && [...zones.children].some((zone) => zone.value === hint.value)) zones.parentElement.value = hint.value;
}

// ---- Passkeys: what the device did not do is said beside the button

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  for (const words of document.querySelectorAll("[data-key-failed]")) words.hidden = false;
});

// ---- Tabs in one row, and a list's filter

// The tab one is on is seen, however many stand before it.
function showTab() {
  for (const row of document.querySelectorAll(".tabs ul")) {
    const tab = row.querySelector("[aria-current]");
    if (tab) row.scrollLeft += tab.getBoundingClientRect().left - row.getBoundingClientRect().left - (row.clientWidth - tab.offsetWidth) / 2;
  }
}
showTab();

// Where the stylesheet cannot leave it open.
if (!CSS.supports("selector(::details-content)") && matchMedia("(width >= 640px)").matches) {
  for (const filter of document.querySelectorAll(".filter")) filter.open = true;
}

// ---- Menus

function closeMenus(giveFocusBack) {
  const open = document.querySelectorAll("details.menu[open]");
  for (const menu of open) {
    const held = menu.contains(document.activeElement);
    menu.open = false;
    if (giveFocusBack && held) menu.querySelector("summary").focus();
  }
  return open.length > 0;
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// ---- Connection

async function near() {
  try {
    await fetch(document.querySelector("link[rel=icon]").href, { method: "HEAD", cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

function showStrip(name) {
  const shown = name === "offline" && isPending() ? "offline-pending" : name;
  for (const line of document.querySelectorAll("[data-strip]")) line.hidden = line.dataset.strip !== shown;
}

window.addEventListener("offline", () => showStrip("offline"));
window.addEventListener("online", () => showStrip(null));

// ---- Times: "12 s ago", the exact time stays in the title

function agoWords(seconds) {
  const words = document.body.dataset;
  if (seconds < 1) return words.agoNow;
  if (seconds < 60) return words.agoSeconds.replace("{n}", Math.floor(seconds));
  if (seconds < 3600) return words.agoMinutes.replace("{n}", Math.floor(seconds / 60));
  return words.agoHours.replace("{n}", Math.floor(seconds / 3600));
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const words = agoWords((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== words) time.textContent = words;
    const old = Number(time.dataset.oldAfter || Infinity) * 1000;
    if (Date.now() - Date.parse(time.dateTime) > old) time.closest(".reading").classList.add("is-old");
  }
}
tellTimes();
setInterval(tellTimes, 1000);

// ---- A look-up that waits for its answer

function say(fragment) {
  const sentence = fragment.dataset.spoken;
  const region = document.getElementById(fragment.hasAttribute("data-at-once") ? "said-at-once" : "said");
  if (sentence && region.textContent !== sentence) region.textContent = sentence;
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target, shouldSwap } = event.detail;
  if (!shouldSwap || !target.matches("[data-state]")) return;
  const next = new DOMParser().parseFromString(xhr.responseText, "text/html").getElementById(target.id);
  if (!next) {
    // Not our fragment: the session has ended or the look-up is gone. The page itself says which.
    event.detail.shouldSwap = false;
    location.reload();
  } else if (next.hasAttribute("data-pending") && next.dataset.state === target.dataset.state) {
    event.detail.shouldSwap = false; // nothing new; the ring turns on undisturbed
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  const asked = event.detail.requestConfig;
  if (asked?.triggeringEvent?.type === "submit") release(asked.elt); // it was answered, and may be still here
  if (palette?.contains(event.target)) return;
  tellTimes();
  showTab();
  understand();
  sumBasket();
  const basket = event.target.id === "action" && document.querySelector("[data-basket]");
  if (basket) {
    document.querySelector("#action [data-errors]")?.focus(); // a long basket's errors are far above its button
    return say(basket);
  }
  const fragment = document.getElementById("reading") || document.getElementById("outcome");
  if (!fragment) return;
  say(fragment);
  if (document.querySelector("[data-till]")) return; // there the amount is next, not the scan box
  const done = !fragment.hasAttribute("data-pending");
  const free = document.activeElement === null || document.activeElement === document.body;
  if (done && free && !fragment.querySelector("[autofocus]") && scanBox()) scanBox().focus({ preventScroll: true });
});

// ---- Nothing moves under a finger: a form that keeps itself is answered while the next thing is being pressed, and
// what the answer moves would be missed. It is put in when the finger is lifted and its click is over.

const LIFTED_MS = 50; // a touch's click comes a little after it
const pressed = { now: false, late: [] };

document.addEventListener("pointerdown", () => { pressed.now = true; }, { capture: true });
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(() => {
    pressed.now = false;
    for (const swap of pressed.late.splice(0)) swap();
  }, LIFTED_MS), { capture: true });
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, shouldSwap, serverResponse, swapOverride } = event.detail;
  if (!pressed.now || !shouldSwap || !target.closest("[data-keeps-itself]")) return;
  event.detail.shouldSwap = false;
  const spec = { swapStyle: swapOverride || "innerHTML", swapDelay: 0, settleDelay: 0 };
  pressed.late.push(() => { if (target.isConnected) htmx.swap(target, serverResponse, spec); });
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) showStrip(null);
});

document.addEventListener("htmx:sendError", () => showStrip(navigator.onLine ? "unreachable" : "offline"));

document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status >= 500) showStrip("unreachable");
  else location.reload();
});

// ---- An operation that ended well while it was watched: on to the next customer, unless somebody is still reading

const LEAVES_AFTER = 20; // seconds
let leaving = 0;

function leaveSoon() {
  let left = LEAVES_AFTER;
  clearInterval(leaving);
  leaving = setInterval(() => {
    const [link, words] = [document.querySelector("[data-leaves]"), document.getElementById("leaving")];
    if (!link || !words) return stay();
    words.hidden = false;
    words.textContent = words.dataset.words.replace("{n}", left);
    left -= 1;
    if (left < 0) {
      stay();
      location.assign(link.href);
    }
  }, 1000);
}

function stay() {
  clearInterval(leaving);
  const words = document.getElementById("leaving");
  if (words) words.hidden = true;
}

for (const sign of ["keydown", "pointerdown", "wheel", "beforeprint"]) window.addEventListener(sign, stay);

document.addEventListener("htmx:afterSwap", (event) => {
  if (palette?.contains(event.target)) return;
  const outcome = document.getElementById("outcome");
  if (outcome && !outcome.hasAttribute("data-pending") && outcome.querySelector("[data-leaves]")) leaveSoon();
});

// ---- An amount: shown as it is understood while it is typed; the server decides

function understand() {
  const field = document.querySelector("[data-understood]") && document.querySelector("[data-amount][data-currency]");
  if (!field) return;
  const places = Number(field.dataset.places);
  const typed = field.value.trim();
  const [, whole, mark, fraction] = typed.match(/^([0-9]*)([.,]?)([0-9]*)$/) || [];
  const plain = typed && typed.length < 12 && whole !== undefined && fraction.length <= places;
  const value = plain ? Number(mark ? `${whole || 0}.${fraction || 0}` : whole / 10 ** places) : NaN;
  const money = new Intl.NumberFormat(document.body.dataset.conventions || undefined, { style: "currency", currency: field.dataset.currency });
  document.querySelector("[data-understood]").textContent = value > 0 ? `= ${money.format(value)}` : "";
}
understand();
document.addEventListener("input", (event) => { if (event.target.matches("[data-amount]")) understand(); });

// ---- A basket: lines and sum as they are understood while they are typed; the server decides

function minorOf(text, places) {
  const [, whole, mark, fraction] = text.trim().match(/^([0-9]{1,9})([.,]?)([0-9]*)$/) || [];
  if (whole === undefined || fraction.length > places) return NaN;
  return Math.round(Number(mark ? `${whole}.${fraction || 0}` : whole / 10 ** places) * 10 ** places);
}

function sumBasket() {
  const shown = document.querySelector("[data-basket-sum]");
  if (!shown) return;
  const places = Number(shown.dataset.places);
  const money = new Intl.NumberFormat(document.body.dataset.conventions || undefined, { style: "currency", currency: shown.dataset.currency });
  const words = (minor) => (minor > 0 ? money.format(minor / 10 ** places) : "–");
  let sum = 0;
  for (const line of document.querySelectorAll("[data-basket-line]")) {
    const value = (part) => line.querySelector(`[data-line="${part}"]`).value.trim();
    if (!value("text") && !value("price") && !value("article") && !value("ean")) continue; // nobody has filled it in
    const minor = minorOf(value("price"), places) * (/^[0-9]{1,4}$/.test(value("quantity")) ? Number(value("quantity")) : NaN);
    line.querySelector("[data-line-amount]").textContent = minor > 0 ? words(minor) : "";
    sum += minor;
  }
  const load = document.querySelector('[data-line="load"]').value.trim();
  shown.textContent = words(sum + (load ? minorOf(load, places) : 0));
}
sumBasket();
document.addEventListener("input", (event) => { if (event.target.matches("[data-line]")) sumBasket(); });

document.addEventListener("click", (event) => {
  const digit = event.target.closest("[data-pad] button");
  if (digit) {
    const field = digit.form.querySelector("[data-amount], [data-pin]");
    if (digit.value === "clear") field.value = "";
    else field.value = digit.value === "back" ? field.value.slice(0, -1) : field.value + digit.value;
    understand();
  }
  if (event.target.closest("[data-scan-move]")) {
    const field = event.target.closest(".field").querySelector("[data-amount]");
    const box = scanBox();
    if (!box) return;
    [box.value, field.value] = [field.value, ""];
    arrivedBy = "B";
    understand();
    box.focus();
  }
  if (event.target.closest("[data-print]")) window.print();
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const text = document.getElementById(copy.dataset.copy).textContent;
    navigator.clipboard?.writeText(text).then(() => { copy.textContent = copy.dataset.copied; });
  }
});

// ---- Paper 80 mm wide is one sheet, as high as what stands on it; on the screen it is laid out as it is printed.

const roll = new CSSStyleSheet();
document.adoptedStyleSheets.push(roll);
window.addEventListener("beforeprint", () => {
  const paper = document.querySelector(".paper-80mm");
  if (paper) roll.replaceSync(`@page till { size: 80mm calc(${paper.offsetHeight}px + 1mm); }`);
});

// ---- A shared till: locks itself, and tells the server that somebody is there. The server decides; this is for the eyes.

const lock = document.querySelector("[data-lock]");
const AWAKE_EVERY_MS = 20000;
const BASKET = /^(line[0-9]+_[a-z]+|scan|load|basket|load_minor)$/;
const DRAFT = ["do", "of", "amount", "points", "minor", "also_activate"];
const touched = () => Number(readSetting("touched") || 0); // in any window of this browser
let keptAt = 0;
let toldAt = Date.now();

function lockNow(idle) {
  if (idle) lock.append(hidden("idle", "1"));
  lock.requestSubmit();
}

function hidden(name, value) {
  return Object.assign(document.createElement("input"), { type: "hidden", name, value });
}

async function tellAwake() {
  toldAt = Date.now();
  try {
    const answer = await fetch(lock.dataset.awake, { method: "POST", headers: { "X-CSRFToken": lock.elements.csrfmiddlewaretoken.value } });
    if (answer.status !== 204) location.reload(); // locked meanwhile, or by another window
  } catch { /* no network: the server's clock runs on and locks by itself */ }
}

if (lock) {
  lock.addEventListener("submit", () => {
    root.classList.add("left-alone"); // nothing of the customer stays on the screen, even without a network
    // What is half typed waits for the same person; it goes to nobody else.
    lock.append(hidden("path", location.pathname));
    const form = document.querySelector("[data-first-beat], [data-confirm]");
    for (const name of form ? DRAFT : []) {
      const value = new FormData(form).get(name);
      if (value) lock.append(hidden(`draft-${name}`, value));
    }
    for (const [name, value] of form ? new FormData(form) : []) {
      if (value && BASKET.test(name)) lock.append(hidden(`draft-${name}`, value));
    }
  });
  for (const kind of ["keydown", "pointerdown", "wheel"]) {
    document.addEventListener(kind, () => {
      if (Date.now() - keptAt > 1000) keepSetting("touched", keptAt = Date.now());
      if (Date.now() - toldAt > AWAKE_EVERY_MS) tellAwake();
    }, { passive: true, capture: true });
  }
  const drawnAt = Date.now();
  setInterval(() => { if (Date.now() - Math.max(drawnAt, keptAt, touched()) > Number(lock.dataset.lockAfter) * 1000) lockNow(true); }, 1000);
  // A page out of the browser's memory may be another person's, or of before the lock.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// On a touch screen our own pad is there; the system's would cover it.
if (matchMedia("(pointer: coarse)").matches) document.querySelector("[data-pin]")?.setAttribute("inputmode", "none");

// ---- First things first: errors before fields

document.querySelector("[data-errors]")?.focus();
