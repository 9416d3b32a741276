// Starts the panels. `bhn` is for the console of the browser, and for tests.
'use strict';

{
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme
    ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  const theme = byId('theme');
  const press = () => theme.setAttribute('aria-pressed', String(isDark()));
  theme.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    press();
  });
  press();

  const data = JSON.parse(byId('data').textContent);
  window.bhn = {
    data,
    /** `[{ name, error }]`: how far the page's numbers are from the program's, relative to them. */
    check: () => check(data),
    /** The predictions of the classifier for pixels `[H·W]`. */
    predict: (x) => classifier(data.classifier).predict(x),
    regression: startRegression(data.regressions),
    tape: startTape(data.tapes),
    digits: startDigits(data.classifier),
  };
}
