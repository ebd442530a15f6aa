// What a browser says of itself, in words that its owner would use.

// The first that fits: each also says that it is those below it.
const BROWSERS = { "Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari" };
const SYSTEMS = {
  iPhone: "an iPhone",
  iPad: "an iPad",
  Android: "Android",
  "Windows NT": "Windows",
  "Mac OS X": "a Mac",
  Linux: "Linux",
};

/** Such as Firefox on Linux; a name that was given stays as it is. */
export function deviceName(text) {
  const browser = known(BROWSERS, text);
  const system = known(SYSTEMS, text);
  if (!text) return "A device that has not said what it is";
  return browser && system ? `${browser} on ${system}` : text;
}

function known(names, text) {
  return Object.entries(names).find(([sign]) => text.includes(sign))?.[1];
}
