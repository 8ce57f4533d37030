/** What lines need whose frames become more than one publication of their bytes, loaded in one piece. */
export { budget as mappingBudget } from "../protocol/serial/mapping/budget.ts";
export { Mapping } from "../protocol/serial/mapping/mapping.ts";
