/** What stands in for the demo's tokens while the demo is off. */

export const demoToken = undefined;
