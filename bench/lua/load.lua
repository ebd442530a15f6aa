-- One request after another, made of lines that were written beforehand, so that this process costs as little as it can.
--
-- Environment: LINES     a file of "path" lines for GET, or "path body" lines for POST
--              LABEL     for POST: what the idempotency keys of this load begin with; each request has its own key
--              TOKEN     the API key, or an access token
--              PER_S     optional: how many requests a second to begin, in all, instead of as many as possible
--              HEADER    optional: one more header, "Name: value"
--              STORM     optional: logins instead, without a TOKEN, each from another address as a proxy would say it

local method = os.getenv("LABEL") and "POST" or "GET"
local per_s = tonumber(os.getenv("PER_S") or "")
local storm = os.getenv("STORM")
local threads = {}
checked, busy, limited = 0, 0, 0

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
  for _, other in ipairs(threads) do other:set("count", #threads) end
end

local heads, tails, sent = {}, {}, 0

function init(_)
  local common = " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\n"
  if not storm then common = common .. "Authorization: Bearer " .. os.getenv("TOKEN") .. "\r\n" end
  if os.getenv("HEADER") then common = common .. os.getenv("HEADER") .. "\r\n" end
  local place = 0
  for line in io.lines(os.getenv("LINES")) do
    if place % count == number then
      if method == "GET" then
        heads[#heads + 1] = "GET " .. line .. common .. "\r\n"
      else
        local path, body = line:match("^(%S+) (.*)$")
        local label = "Idempotency-Key: " .. os.getenv("LABEL") .. "-" .. number .. "-"
        heads[#heads + 1] = "POST " .. path .. common .. "Content-Type: application/json\r\n" .. label
        tails[#tails + 1] = "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
      end
    end
    place = place + 1
  end
end

if method == "GET" then
  function request()
    sent = sent + 1
    return heads[sent % #heads + 1]
  end
else
  function request()
    sent = sent + 1
    local place = sent % #heads + 1
    return heads[place] .. sent .. tails[place]
  end
end

if storm then
  local post = request
  math.randomseed(os.time())

  function request()
    local address = string.format("10.%d.%d.%d", math.random(0, 255), math.random(0, 255), math.random(1, 254))
    return (post():gsub("\r\n", "\r\nX-Forwarded-For: " .. address .. "\r\n", 1))
  end

  function response(status)
    if status == 200 or status == 401 then checked = checked + 1 end
    if status == 503 then busy = busy + 1 end
    if status == 429 then limited = limited + 1 end
  end
end

-- A timetable: each request has its moment, whether or not the ones before were answered by then. A thread that is
-- behind its timetable sends at once, so the rate holds as long as there are connections to spare.
if per_s then
  local ffi = require("ffi")
  ffi.cdef [[
    typedef struct { long s; long ns; } moment;
    int clock_gettime(int clock, moment *now);
  ]]
  local moment = ffi.new("moment")
  local due

  function delay()
    ffi.C.clock_gettime(1, moment)
    local now = tonumber(moment.s) * 1000 + tonumber(moment.ns) / 1e6
    due = (due or now) + 1000 * count / per_s
    return math.max(0, math.floor(due - now + 0.5))
  end
end

function done(summary, latency, _)
  if storm then
    local sums = { checked = 0, busy = 0, limited = 0 }
    for _, thread in ipairs(threads) do
      for name, sum in pairs(sums) do sums[name] = sum + thread:get(name) end
    end
    io.write(string.format(
      '{"answered":%d,"checked":%d,"busy":%d,"limited":%d,"other":%d,"seconds":%.6f,"p99_ms":%.3f}\n',
      summary.requests, sums.checked, sums.busy, sums.limited,
      summary.requests - sums.checked - sums.busy - sums.limited,
      summary.duration / 1e6, latency:percentile(99) / 1e3))
    return
  end
  local errors = summary.errors
  io.write(string.format(
    '{"answered":%d,"refused":%d,"lost":%d,"late":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
