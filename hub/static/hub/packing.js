// Scanning: a number is sent without leaving the page, so that the next one can follow at once; colour and tone say
// what came of it. Without this file the page works by itself.
(() => {
  document.querySelector("[data-print]")?.addEventListener("click", () => print());
  const root = document.querySelector("[data-scan]");
  if (!root) return;
  const result = root.querySelector("[data-scan-result]");
  const input = root.querySelector(".e-scan-input");
  let sound;
  let busy = false;

  const beep = (tone) => {
    sound ??= new AudioContext();
    const pitches = { green: [880, 1320], amber: [660, 660], red: [220, 165] }[tone] ?? [];
    pitches.forEach((pitch, place) => {
      const [voice, volume] = [sound.createOscillator(), sound.createGain()];
      const start = sound.currentTime + place * 0.14;
      voice.type = tone === "red" ? "square" : "sine";
      voice.frequency.value = pitch;
      volume.gain.value = 0.15;
      voice.connect(volume).connect(sound.destination);
      voice.start(start);
      voice.stop(start + 0.12);
    });
  };

  const ready = () => {
    const next = result.querySelector("[autofocus]") ?? input;
    next.focus();
    next.select();
  };

  const send = async (form) => {
    const answer = await fetch(location.href, { method: "POST", body: new FormData(form), credentials: "same-origin" });
    if (!answer.ok) throw new Error(`answer ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const other = fresh.querySelector("[data-scan-result]");
    if (!other) {
      location.assign(answer.url);
      return;
    }
    result.replaceChildren(...other.childNodes);
    input.value = "";
    beep(result.querySelector("[data-tone]")?.dataset.tone);
  };

  root.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-scan-form]");
    if (!form) return;
    event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      await send(form);
    } catch {
      // The browser's own way shows what is wrong.
      form.submit();
    } finally {
      busy = false;
      ready();
    }
  });
  root.addEventListener("change", (event) => { if (event.target.name === "mode") input.focus(); });
  ready();
})();
