// The public balance page. It solves the proof of work, asks when an answer may be there, and keeps what was typed as long
// as this page is open: in this file's variables, and nowhere else.

document.documentElement.classList.add("script");

const main = document.getElementById("main");
const said = document.getElementById("said");
let typed = {}; // number, pin
let arrivedAt = performance.now();
let solving = null; // the form's proof, begun with the first key
let timer = 0;

const say = (sentence) => { said.textContent = ""; requestAnimationFrame(() => { said.textContent = sentence; }); };

// ---- The proof

function solve(form) {
  const { worker, nonce, parts, rounds, threshold } = form.dataset;
  return new Promise((done, failed) => {
    const at = new Worker(worker);
    at.onmessage = ({ data }) => { at.terminate(); done(data); };
    at.onerror = () => { at.terminate(); failed(new Error("no proof")); };
    at.postMessage({ nonce, parts: +parts, rounds: +rounds, threshold: +threshold });
  });
}

const rest = (ms) => new Promise((done) => setTimeout(done, Math.max(ms, 0)));

// ---- Sending, without leaving the page

async function show(request) {
  const answer = await request;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("main");
  if (!fresh) return location.assign(location.href); // not one of these pages
  document.title = page.title;
  if (answer.url !== location.href) history.pushState(null, "", answer.url);
  main.replaceChildren(...fresh.childNodes);
  arrive(true);
}

async function send(form) {
  const fields = new FormData(form);
  if (form.dataset.nonce) {
    solving ??= solve(form);
    fields.set("solution", await solving);
    await rest((form.dataset.typingMs || 0) - (performance.now() - arrivedAt) + 100);
  }
  await show(fetch(form.action, { method: "POST", body: new URLSearchParams(fields), credentials: "same-origin" }));
}

function busy(form, on) {
  const button = form.querySelector("button[type=submit]");
  if (button) {
    button.disabled = on;
    if (on) [button.dataset.words, button.textContent] = [button.textContent, button.dataset.busy || button.textContent];
    else if (button.dataset.words) button.textContent = button.dataset.words;
  }
  const working = form.querySelector("[data-working]");
  if (working) working.hidden = !on;
}

main.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const number = form.elements.number;
  if (number) typed = { ...typed, number: number.value, pin: form.elements.pin ? form.elements.pin.value : typed.pin };
  busy(form, true);
  try {
    if (performance.now() - arrivedAt > form.dataset.goodForMs - 20000) await renew(form);
    await send(form);
  } catch {
    busy(form, false);
    solving = null;
    complain(main.dataset.away);
  }
});

// A page that was left open: another challenge, behind the shopper's back.
async function renew(form) {
  const page = new DOMParser().parseFromString(await (await fetch(form.action)).text(), "text/html");
  const fresh = page.querySelector("form[data-proof]");
  if (!fresh) return;
  form.dataset.nonce = fresh.dataset.nonce;
  form.dataset.threshold = fresh.dataset.threshold;
  form.elements.token.value = fresh.elements.token.value;
  arrivedAt = performance.now();
  solving = null;
}

function complain(sentence) {
  let line = main.querySelector("[data-complaint]");
  if (!line) {
    line = document.createElement("p");
    line.className = "notice notice-warning";
    line.dataset.complaint = "";
    line.setAttribute("role", "alert");
    main.prepend(line);
  }
  line.textContent = sentence;
}

// ---- What has just come

async function look() {
  try {
    await show(fetch(location.href, { credentials: "same-origin" }));
  } catch {
    timer = setTimeout(look, 3000); // away: the answer is kept, and we ask again
  }
}

function arrive(swapped) {
  clearTimeout(timer);
  arrivedAt = performance.now();
  solving = null;
  const form = main.querySelector("form[data-proof]");
  const answer = main.querySelector("[data-state]");
  const button = form && form.querySelector("button[type=submit]");
  if (button) button.disabled = false; // from here on a press is ours
  if (form && form.elements.number) {
    form.addEventListener("input", () => { solving ??= solve(form).catch(() => null); }, { once: true });
    if (swapped && typed.number) { // nothing typed is lost
      form.elements.number.value = typed.number;
      if (form.elements.pin) form.elements.pin.value = typed.pin || "";
      solving = solve(form);
    }
  }
  if (form && "atOnce" in form.dataset) send(form).catch(() => { timer = setTimeout(() => location.reload(), 3000); });
  if (answer && answer.dataset.nextMs) timer = setTimeout(look, +answer.dataset.nextMs);
  if (answer && answer.dataset.spoken) say(answer.dataset.spoken);
  if (swapped && !(answer && answer.dataset.nextMs)) {
    const wrong = main.querySelector("[data-errors], [aria-invalid=true]");
    (wrong || main).focus({ preventScroll: !wrong });
  }
  countDown(main.querySelector("[data-again-seconds]"));
  barcode(main.querySelector("[data-barcode]"));
}

function countDown(line) {
  if (!line) return;
  const until = performance.now() + line.dataset.againSeconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    line.hidden = left <= 0;
    line.textContent = line.dataset.againText.replace("{n}", left);
    if (left > 0 && line.isConnected) setTimeout(tick, 1000);
  };
  tick();
}

// ---- The barcode: Code 128, drawn from what was typed

const BARS = ("212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222123122123221"
  + "223211221132221231213212223112312131311222321122321221312212322112322211212123212321232121111323131123131321112313"
  + "132113132311211313231113231311112133112331132131113123113321133121313121211331231131213113213311213131311123311321"
  + "331121312113312311332111314111221411431111111224111422121124121421141122141221112214112412122114122411142112142211"
  + "241211221114413111241112134111111242121142121241114212124112124211411212421112421211212141214121412121111143111341"
  + "131141114113114311411113411311113141114131311141411131211412211214211232").match(/.{6}/g);
const STOP = "2331112";

function code128(text) {
  const pairs = /^(\d\d)+$/.test(text);
  const values = pairs ? text.match(/\d\d/g).map(Number) : [...text].map((sign) => sign.charCodeAt(0) - 32);
  if (values.some((value) => !(value >= 0 && value <= 94) && !pairs)) return null;
  const start = pairs ? 105 : 104;
  const check = values.reduce((sum, value, at) => sum + value * (at + 1), start) % 103;
  return [start, ...values, check].map((value) => BARS[value]).join("") + STOP;
}

function draw(widths) {
  const quiet = 10;
  let [x, path] = [quiet, ""];
  [...widths].forEach((width, at) => {
    if (at % 2 === 0) path += `M${x} 0h${width}v50h-${width}z`;
    x += +width;
  });
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", `0 0 ${x + quiet} 50`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("shape-rendering", "crispEdges");
  picture.setAttribute("aria-hidden", "true");
  const bars = document.createElementNS("http://www.w3.org/2000/svg", "path");
  bars.setAttribute("d", path);
  picture.append(bars);
  return picture;
}

function barcode(button) {
  const number = (typed.number || "").replace(/\s/g, "");
  const widths = button && number && code128(number);
  if (!widths) return;
  const dialog = main.querySelector("dialog");
  button.hidden = false;
  button.addEventListener("click", () => {
    dialog.querySelector("[data-bars]").replaceChildren(draw(widths));
    dialog.querySelector("[data-bars-text]").textContent = number.replace(/(.{4})(?=.)/g, "$1 ");
    dialog.showModal();
    navigator.wakeLock?.request("screen").then((lock) => dialog.addEventListener("close", () => lock.release(), { once: true }), () => {});
  });
}

addEventListener("popstate", () => location.reload());
addEventListener("pagehide", () => { typed = {}; });
arrive(false);
