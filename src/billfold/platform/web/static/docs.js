// Renders the OpenAPI document of this server, and sends requests to it. The API key stays in this page's memory.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// `code` and **strong** words of a sentence; the rest is text.
function prose(text) {
  return text.replaceAll("\n", " ").split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return element("code", { textContent: part.slice(1, -1) });
    if (part.startsWith("**")) return element("strong", { textContent: part.slice(2, -2) });
    return part;
  });
}

// What may be null is shown as what it is otherwise.
function notNull(schema) {
  const kinds = (schema?.anyOf || []).filter((one) => one.type !== "null");
  return kinds.length === 1 ? kinds[0] : schema;
}

function resolve(api, schema) {
  const found = notNull(schema);
  if (!found || !found.$ref) return found || {};
  return found.$ref.slice(2).split("/").reduce((place, step) => place[step], api);
}

function description(api, schema) {
  return schema.description || notNull(schema).description || resolve(api, schema).description || "";
}

function typeName(api, schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  for (const many of ["anyOf", "oneOf"]) {
    if (schema[many]) return schema[many].map((one) => typeName(api, one)).join(" | ");
  }
  if (schema.type === "array") return `list of ${typeName(api, schema.items) || "anything"}`;
  if (schema.type === "object" && schema.additionalProperties) {
    return `map of ${typeName(api, schema.additionalProperties) || "anything"}`;
  }
  return [schema.type, schema.format].filter(Boolean).join(", ");
}

// Fields of an object as table rows; those of nested objects stand indented by their path. Deeper ones are left out.
function fieldRows(api, schema, path = "", depth = 0) {
  const found = resolve(api, schema);
  const rows = [];
  for (const [name, inner] of Object.entries(found.properties || {})) {
    const target = resolve(api, inner);
    const needed = (found.required || []).includes(name) ? "required" : "";
    rows.push([path + name, typeName(api, inner), needed, description(api, inner)]);
    const nested = target.type === "array" ? resolve(api, target.items) : target;
    if (nested.properties && depth < 2) {
      rows.push(...fieldRows(api, nested, `${path}${name}${target.type === "array" ? "[]" : ""}.`, depth + 1));
    }
  }
  return rows;
}

function table(heads, rows) {
  const body = rows.map((cells) =>
    element("tr", {}, ...cells.map((text, at) => element("td", {}, ...(at === 0 ? [element("code", { textContent: text })] : prose(text))))),
  );
  return element(
    "table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { textContent: head })))),
    element("tbody", {}, ...body),
  );
}

function titled(title, ...content) {
  return [element("h4", { textContent: title }), ...content];
}

function pretty(value) {
  return element("pre", { textContent: typeof value === "string" ? value : JSON.stringify(value, null, 2) });
}

function failures(api, operation) {
  const rows = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    const examples = answer.content?.["application/problem+json"]?.examples || {};
    for (const [code, example] of Object.entries(examples)) rows.push([code, status, resolve(api, example).value.detail]);
  }
  if (!rows.length) return null;
  return element("details", {}, element("summary", { textContent: `Errors (${rows.length})` }), table(["Code", "Status", "Meaning"], rows));
}

function requestForm(path, method, operation) {
  const inputs = (operation.parameters || []).map((parameter) => {
    const input = element("input", { placeholder: parameter.required ? "required" : "" });
    if (parameter.name === "Idempotency-Key") input.value = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
    return { parameter, input };
  });
  const content = operation.requestBody?.content?.["application/json"];
  const body = content && element("textarea", { rows: 8, spellcheck: false, value: JSON.stringify(content.example || {}, null, 2) });
  const answer = element("div");
  const form = element(
    "form", { className: "try" },
    ...inputs.map(({ parameter, input }) => element("label", {}, parameter.name, input)),
    body,
    element("div", {}, element("button", { textContent: "Send" })),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.replaceChildren("Sending …");
    answer.replaceChildren(...(await send(path, method, inputs, body)));
  });
  return element("details", {}, element("summary", { textContent: "Try it" }), form);
}

async function send(path, method, inputs, body) {
  const headers = {};
  const query = new URLSearchParams();
  for (const { parameter, input } of inputs) {
    if (!input.value) continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query") query.append(parameter.name, input.value);
    if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const url = path + (query.size ? `?${query}` : "");
  try {
    const begun = performance.now();
    const response = await fetch(url, { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
    const text = await response.text();
    const took = Math.round(performance.now() - begun);
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* It is no JSON, so it is shown as it came. */ }
    const line = `${response.status} ${response.statusText} · ${took} ms · ${response.headers.get("x-request-id") || ""}`;
    return [element("p", { textContent: line, className: response.ok ? "" : "bad" }), pretty(shown)];
  } catch (error) {
    return [element("p", { textContent: `The request did not get through: ${error.message}`, className: "bad" })];
  }
}

function section(api, path, method, operation) {
  const content = operation.requestBody?.content?.["application/json"];
  const success = Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
  const answers = Object.entries(success?.[1].content || {});
  const scope = (operation.security || []).flatMap((one) => Object.values(one).flat()).join(", ");
  const parameters = (operation.parameters || []).map((one) => [
    one.name,
    `${one.in}: ${typeName(api, notNull(one.schema))}`,
    one.required ? "required" : "",
    one.description || description(api, one.schema),
  ]);
  const parts = [
    operation.description && element("p", {}, ...prose(operation.description)),
    element("p", {}, scope ? "Scope: " : "For everybody.", scope ? element("code", { textContent: scope }) : ""),
    ...(parameters.length ? titled("Parameters", table(["Name", "Type", "", "What it is"], parameters)) : []),
    ...(content ? titled("Body", table(["Field", "Type", "", "What it is"], fieldRows(api, content.schema))) : []),
    ...(content?.example !== undefined ? titled("For example", pretty(content.example)) : []),
  ];
  for (const [media, shown] of answers) {
    const rows = fieldRows(api, shown.schema);
    parts.push(...titled(`Answer ${success[0]}, ${media}`, shown.example !== undefined ? pretty(shown.example) : null));
    if (rows.length) parts.push(element("details", {}, element("summary", { textContent: "Fields" }), table(["Field", "Type", "", "What it is"], rows)));
  }
  parts.push(failures(api, operation), requestForm(path, method, operation));
  const head = element("h3", {}, element("span", { className: `method ${method}`, textContent: method.toUpperCase() }), ` ${operation.summary} `, element("code", { textContent: path }));
  return element("section", { id: operation.operationId }, head, element("div", {}, ...parts.filter(Boolean)));
}

function introduction(api) {
  const paragraphs = (api.info.description || "").split("\n\n").map((text) => element("p", {}, ...prose(text)));
  return [element("h1", { textContent: `${api.info.title} API ${api.info.version}` }), ...paragraphs];
}

async function main() {
  const state = document.getElementById("state");
  const contents = document.getElementById("contents");
  const operations = document.getElementById("operations");
  let api;
  try {
    api = await (await fetch(document.body.dataset.openapi)).json();
  } catch (error) {
    state.textContent = `The OpenAPI document could not be loaded: ${error.message}`;
    return;
  }
  operations.replaceChildren(...introduction(api));
  for (const { name } of api.tags) {
    contents.append(element("h2", { textContent: name }));
    operations.append(element("h2", { textContent: name }));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        const operation = methods[method];
        if (!operation || !operation.tags.includes(name)) continue;
        contents.append(element("a", { href: `#${operation.operationId}`, textContent: operation.summary }));
        operations.append(section(api, path, method, operation));
      }
    }
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

main();
