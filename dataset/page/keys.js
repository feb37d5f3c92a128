// The key that somebody means, on any keyboard and with an input method open.

// What is printed on a Latin key counts where it was typed: "y" of QWERTZ and Dvorak is "y". Other
// scripts ("ㅌ", "ч", "χ"), and input methods, which name no key ("Process"), tell by its place.
export function keyOf({ key, code, shiftKey }) {
  const typed = key.normalize("NFKC"); // an input method's full-width letters
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];
  if (/^[a-z]$/i.test(typed)) return typed.toLowerCase();
  if (digit && !shiftKey && typed.length === 1) return digit; // AZERTY's "&" is the key 1
  if (/^[ -~]$/.test(typed)) return typed;
  if (typed.length > 1 && !/^(Process|Unidentified|Dead)$/.test(typed)) return typed;
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter) return letter.toLowerCase();
  if (code === "Slash" && shiftKey) return "?";
  return digit ?? (code === "Space" ? " " : code);
}
