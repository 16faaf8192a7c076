// At the first page, and after a journey: tells the server which time zone this browser is in, and asks again. No
// module, and not deferred: nothing has been drawn yet. Left out where a person chose a zone.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || zone === document.documentElement.dataset.zone) return;
  const said = `zone=auto:${zone}`;
  if (document.cookie.split("; ").includes(said)) return; // the server does not know it
  document.cookie = `${said}; Max-Age=31536000; Path=/; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
  if (document.cookie.split("; ").includes(said)) location.reload();
})();
