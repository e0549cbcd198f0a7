-- Limits of one gateway, decided in one step. ARGV[1] says what to do; KEYS are all in one slot. Of
-- the other arguments each is several words with a space between.
--
-- Of each scope there are three keys:
--   account  a hash   r, t    when the buckets of requests and tokens are full again (GCRA)
--                     R, T    the limits that these were counted by
--                     n       when it was last written
--                     w       the budget's window, as KIND:START
--                     s, v, u nano-dollars spent, reserved, and usual for a request
--                     x       when the count was last lowered to what is on record
--                     o       what is on record in all databases together
--                     d:ID    what is on record in one of them, as KIND:START NANO
--   leases   a sorted set of grants, by when they expire
--   reserves a sorted set of GRANT:NANO, by when they expire
-- Of all together there are two: a sorted set of processes, and one of databases by when each was
-- last heard of ("-" stands for processes that have none).
-- And of each grant one string: "d" once it has ended, else what it took of each scope.
--
-- Numbers are doubles: times are counted from BASE, so that they are good to 0.02 µs. What is spent
-- is never computed here, but added by HINCRBY, whose integers have 64 bits.

local PERIOD, SLACK, BASE = 60, 2e-5, 1700000000
local DAY = 86400
-- Seconds for which it is known that a grant has ended, and beyond its expiry that there was one.
local ENDED, BEYOND = 180, 60
-- An expired reserve is given back when somebody is about to be refused for it, so many at a time.
local MOST = 500

local clock = redis.call('TIME')
local epoch = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local now = tonumber(clock[1]) - BASE + tonumber(clock[2]) / 1e6

local function text(number) return string.format('%.17g', number) end
local function whole(number) return string.format('%.0f', number) end

-- Days since 1970 of a date, and back: days_from_civil and civil_from_days of Howard Hinnant's
-- "chrono-Compatible Low-Level Date Algorithms".
local function days_of(y, m)
  if m <= 2 then y = y - 1 end
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5)
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

local function month_of(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
    - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local m = mp + (mp < 10 and 3 or -9)
  return yoe + era * 400 + (m <= 2 and 1 or 0), m
end

local function window_around(kind, at)
  if kind == 'total' then return 0, nil end
  local day = math.floor(at / DAY)
  if kind == 'day' then return day * DAY, (day + 1) * DAY end
  if kind == 'week' then
    local monday = day - (day + 3) % 7
    return monday * DAY, (monday + 7) * DAY
  end
  local y, m = month_of(day)
  local ends = m == 12 and days_of(y + 1, 1) or days_of(y, m + 1)
  return days_of(y, m) * DAY, ends * DAY
end

-- A scope with its limits, as ARGV has it at `at`: rpm, tpm, max_concurrent, nano-dollars of its
-- budget and the kind of its window. 0 is no limit, "-" no budget.
local function open(key, at)
  local rpm, tpm, most, limit, kind =
    string.match(ARGV[at], '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  local a = {
    account = KEYS[key], leases = KEYS[key + 1], reserves = KEYS[key + 2],
    rpm = tonumber(rpm), tpm = tonumber(tpm), most = tonumber(most),
    limit = tonumber(limit), kind = kind == '-' and '' or kind,
  }
  local f = redis.call('HMGET', a.account, 'r', 't', 'R', 'T', 'n', 'w', 's', 'v', 'u')
  a.fresh = not f[5]
  -- The clock of another server, after a failover, may be behind: what is left to wait stays.
  local back = f[5] and math.max(0, tonumber(f[5]) - now) or 0
  local function full_at(field, limit, before)
    if limit == 0 or not field then return now end
    local at = math.max(now, tonumber(field) - back)
    -- A debt that was run up under another limit is let off: at most it is empty.
    if before and tonumber(before) ~= limit then at = math.min(at, now + PERIOD) end
    return at
  end
  a.r, a.t = full_at(f[1], a.rpm, f[3]), full_at(f[2], a.tpm, f[4])
  if back > 1 then
    for _, name in ipairs({a.leases, a.reserves}) do
      local each = redis.call('ZRANGE', name, 0, -1, 'WITHSCORES')
      for i = 1, #each, 2 do
        redis.call('ZADD', name, text(tonumber(each[i + 1]) - back), each[i])
      end
    end
  end
  a.s, a.v, a.u = '0', 0, 0
  if a.kind ~= '' then
    a.starts, a.ends = window_around(a.kind, epoch)
    a.w = a.kind .. ':' .. whole(a.starts)
    a.u = tonumber(f[9] or '0')
    local kind, starts = string.match(f[6] or '', '^(%a+):(%d+)$')
    -- A clock that was set back takes what is spent along.
    if kind == a.kind and tonumber(starts) >= a.starts then
      a.s, a.v = f[7] or '0', math.max(0, tonumber(f[8] or '0'))
    else
      a.anew = true
      redis.call('DEL', a.reserves)
    end
  end
  return a
end

local function save(a)
  local args = {'HSET', a.account, 'n', text(now)}
  local seconds = 0
  local function put(name, value) args[#args + 1] = name; args[#args + 1] = value end
  if a.rpm > 0 then
    put('r', text(a.r)); put('R', whole(a.rpm)); seconds = math.max(seconds, a.r - now)
  end
  if a.tpm > 0 then
    put('t', text(a.t)); put('T', whole(a.tpm)); seconds = math.max(seconds, a.t - now)
  end
  if a.kind ~= '' then
    put('w', a.w); put('v', whole(a.v)); put('u', whole(a.u))
    if a.anew then put('s', a.s); a.anew = false end
  end
  redis.call(unpack(args))
  if a.kind == 'total' then
    redis.call('PERSIST', a.account)
    return
  end
  if a.kind ~= '' then seconds = math.max(seconds, a.ends - epoch + DAY) end
  redis.call('EXPIRE', a.account, whole(math.ceil(seconds) + 3600))
end

local function give_back_expired(a)
  local gone = redis.call('ZRANGEBYSCORE', a.reserves, '-inf', text(now), 'LIMIT', 0, MOST)
  for _, member in ipairs(gone) do
    redis.call('ZREM', a.reserves, member)
    a.v = math.max(0, a.v - tonumber(string.match(member, ':(%d+)$')))
  end
  -- None is left, whatever the sum says: a server that has lost a part of its keys heals.
  if a.v > 0 and redis.call('EXISTS', a.reserves) == 0 then a.v = 0 end
end

local function wait_of(full_at, amount, limit)
  if amount > limit then return math.huge end
  return math.max(0, math.max(full_at - now, 0) + amount * PERIOD / limit - PERIOD)
end

local function admits(full_at, amount, limit)
  return amount <= limit and full_at - now + amount * PERIOD / limit <= PERIOD + SLACK
end

-- What is in the way of so many tokens: seconds, which limit, whether a budget is used up.
local function obstacles(a, tokens)
  local found = {}
  if a.rpm > 0 and not admits(a.r, 1, a.rpm) then
    found[#found + 1] = {wait_of(a.r, 1, a.rpm), 'requests', 0}
  end
  if a.tpm > 0 and not admits(a.t, tokens, a.tpm) then
    found[#found + 1] = {wait_of(a.t, tokens, a.tpm), 'tokens', 0}
  end
  if a.most > 0 then
    redis.call('ZREMRANGEBYSCORE', a.leases, '-inf', text(now))
    if redis.call('ZCARD', a.leases) >= a.most then
      found[#found + 1] = {1, 'concurrent', 0}
    end
  end
  if a.kind ~= '' then
    local spent = tonumber(a.s)
    if spent + a.v >= a.limit and a.v > 0 then give_back_expired(a) end
    if spent >= a.limit then
      found[#found + 1] = {a.ends and a.ends - epoch or math.huge, 'budget', 1}
    elseif spent + a.v >= a.limit then
      found[#found + 1] = {1, 'budget', 0}
    end
  end
  return found
end

local function push_level(reply, a)
  reply[#reply + 1] = text(a.r - now)
  reply[#reply + 1] = text(a.t - now)
  reply[#reply + 1] = a.s
  reply[#reply + 1] = whole(a.v)
  reply[#reply + 1] = a.ends and text(a.ends - epoch) or ''
end

-- The charges of a grant, as its string has them.
local function parse(stored)
  local found = {}
  for r, t, v in string.gmatch(stored, '([^,;]+),([^,;]+),([^,;]+)') do
    found[#found + 1] = {tonumber(r), tonumber(t), v}
  end
  return found
end

local function packed(charges)
  local parts = {}
  for i, c in ipairs(charges) do parts[i] = text(c[1]) .. ',' .. text(c[2]) .. ',' .. c[3] end
  return table.concat(parts, ';')
end

local function spend(a, cost)
  redis.call('HINCRBY', a.account, 's', cost)
  local number = tonumber(cost)
  if number > 0 then a.u = math.max(number, a.u - math.floor(a.u / 16)) end
end

-- ARGV: id, seconds, tokens, cost, bounded, then each scope. KEYS: the grant, 3 of each scope.
local function admit()
  local id, lasts, many, nano, known = string.match(ARGV[2], '^(%S+) (%S+) (%S+) (%S+) ([01])$')
  local seconds, tokens = tonumber(lasts), tonumber(many)
  local cost, bounded = tonumber(nano), known == '1'
  local before = redis.call('GET', KEYS[1])
  if before == 'd' then return {'ended'} end
  local scopes, worst = {}, nil
  for i = 1, (#KEYS - 1) / 3 do
    local a = open(3 * i - 1, i + 2)
    scopes[i] = a
    if not before then
      for _, each in ipairs(obstacles(a, tokens)) do
        if not worst or each[1] > worst[2] then worst = {i, each[1], each[2], each[3]} end
      end
    end
  end
  local reply
  if worst then
    local wait = worst[2] == math.huge and '' or text(worst[2])
    reply = {'refused', whole(worst[1] - 1), wait, worst[3], whole(worst[4])}
    for _, a in ipairs(scopes) do push_level(reply, a) end
    return reply
  end
  local charges = before and parse(before) or {}
  if not before then
    for i, a in ipairs(scopes) do
      local c = {0, 0, '0'}
      if a.rpm > 0 then c[1] = PERIOD / a.rpm; a.r = a.r + c[1] end
      if a.tpm > 0 then c[2] = tokens * PERIOD / a.tpm; a.t = a.t + c[2] end
      if a.most > 0 then
        redis.call('ZADD', a.leases, text(now + seconds), id)
        redis.call('EXPIRE', a.leases, whole(math.ceil(seconds) + BEYOND))
      end
      if a.kind ~= '' then
        local reserved = bounded and cost or math.max(cost, a.u)
        c[3] = whole(reserved)
        if reserved > 0 then
          a.v = a.v + reserved
          redis.call('ZADD', a.reserves, text(now + seconds), id .. ':' .. c[3])
          redis.call('EXPIRE', a.reserves, whole(math.ceil(seconds) + BEYOND))
        end
      end
      charges[i] = c
      save(a)
    end
    redis.call('SET', KEYS[1], packed(charges), 'EX', whole(math.ceil(seconds) + BEYOND))
  end
  reply = {'admitted'}
  for i, a in ipairs(scopes) do
    local c = charges[i] or {0, 0, '0'}
    reply[#reply + 1] = text(c[1]); reply[#reply + 1] = text(c[2]); reply[#reply + 1] = c[3]
    push_level(reply, a)
  end
  return reply
end

-- How the scopes of each grant are written from ARGV[at] on: its limits, and what it took of them.
-- Returns the first key and argument behind it.
local function each_scope(key, at, n, visit)
  for i = 1, n do
    local first = at + 2 * (i - 1)
    local r, t, v = string.match(ARGV[first + 1], '^(%S+) (%S+) (%S+)$')
    visit(open(key + 3 * (i - 1), first), i, {tonumber(r), tonumber(t), v})
  end
  return key + 3 * n, at + 2 * n
end

local function take_reserve(a, id, reserved)
  if reserved ~= '0' and a.kind ~= '' and redis.call('ZREM', a.reserves, id .. ':' .. reserved) == 1
  then
    a.v = math.max(0, a.v - tonumber(reserved))
  end
end

-- ARGV: then of each: how, tokens, cost, id, n and its scopes. KEYS: of each the grant, its scopes.
local function finish()
  local key, at = 1, 2
  while at <= #ARGV do
    local how, used, cost, id, many = string.match(ARGV[at], '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
    local tokens, n = tonumber(used), tonumber(many)
    local stored = redis.call('GET', KEYS[key])
    local grant = KEYS[key]
    local took = stored and stored ~= 'd' and parse(stored) or nil
    local live = stored ~= 'd'
    key, at = each_scope(key + 1, at + 1, n, function(a, i, told)
      if not live then return end
      redis.call('ZREM', a.leases, id)
      if how == 'release' then return end
      local c = took and took[i] or told
      take_reserve(a, id, c[3])
      if how == 'void' then
        -- What is not known here was never taken, or has expired.
        if took then a.r = a.r - c[1]; a.t = a.t - c[2] end
      elseif a.tpm > 0 then
        a.t = a.t + tokens * PERIOD / a.tpm - c[2]
      end
      if a.kind ~= '' and how == 'settle' then
        if a.anew then save(a) end
        spend(a, cost)
      end
      if how == 'settle' or not a.fresh then save(a) end
    end)
    -- Also of one that is not known: it may still be on its way.
    if how ~= 'release' and live then redis.call('SET', grant, 'd', 'EX', ENDED) end
  end
  return {'ok'}
end

-- ARGV: seconds, then of each: leased, id, n and its scopes. KEYS as above.
local function renew()
  local seconds = tonumber(ARGV[2])
  local expires, lasts = text(now + seconds), whole(math.ceil(seconds) + BEYOND)
  local key, at = 1, 3
  while at <= #ARGV do
    local held, id, many = string.match(ARGV[at], '^([01]) (%S+) (%S+)$')
    local leased, n = held == '1', tonumber(many)
    local stored, grant, charges = redis.call('GET', KEYS[key]), KEYS[key], {}
    key, at = each_scope(key + 1, at + 1, n, function(a, i, told)
      charges[i] = told
      if stored == 'd' then return end
      if leased and a.most > 0 then
        redis.call('ZADD', a.leases, expires, id)
        redis.call('EXPIRE', a.leases, lasts)
      end
      if told[3] ~= '0' and a.kind ~= '' then
        if redis.call('ZADD', a.reserves, expires, id .. ':' .. told[3]) == 1 then
          a.v = a.v + tonumber(told[3])
          save(a)
        end
        redis.call('EXPIRE', a.reserves, lasts)
      end
    end)
    if stored ~= 'd' then redis.call('SET', grant, packed(charges), 'EX', lasts) end
  end
  return {'ok'}
end

-- ARGV: each scope. KEYS: 3 of each.
local function status()
  local reply = {}
  for i = 1, #KEYS / 3 do
    local a = open(3 * i - 2, i + 1)
    push_level(reply, a)
  end
  return reply
end

-- ARGV: then of each its scope, and what that had been before (requests, tokens), what to add to
-- it, nano-dollars, and the epoch that they are of. KEYS: the mark of this call, 3 of each scope.
local function carry()
  if not redis.call('SET', KEYS[1], '1', 'EX', 3600, 'NX') then return {'ok'} end
  local at = 2
  for i = 1, (#KEYS - 1) / 3 do
    local a = open(3 * i - 1, at)
    local r, t, more_r, more_t, cost, around =
      string.match(ARGV[at + 1], '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
    -- A server that was emptied knows nothing of what was used before.
    if a.fresh then a.r, a.t = now + tonumber(r), now + tonumber(t) end
    a.r, a.t = a.r + tonumber(more_r), a.t + tonumber(more_t)
    save(a)
    if a.kind ~= '' and cost ~= '0' then
      local starts = window_around(a.kind, tonumber(around))
      if starts == a.starts then spend(a, cost); save(a) end
    end
    at = at + 2
  end
  return {'ok'}
end

-- ARGV: then of each its scope, and what is on record, the epoch that it is of, and what is too
-- much.
-- Of so many databases it is known that they are there; a new one each time is made by tests.
local MOST_DATABASES = 1000

local function heard_of(databases, database)
  redis.call('ZADD', databases, text(epoch), database)
  redis.call('ZREMRANGEBYRANK', databases, 0, -1 - MOST_DATABASES)
end

-- What a scope has on record in all databases that were heard of in its window, and how many these
-- are. What another one has is as old as its last look.
local function recorded(a, databases, database, own)
  if database == '' then return own, 1 end
  if a.anew then save(a) end
  redis.call('HSET', a.account, 'o', own, 'd:' .. database, a.w .. ' ' .. own)
  local many = 1
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', databases, text(a.starts), '+inf')) do
    if other ~= database then
      many = many + 1
      local said = redis.call('HGET', a.account, 'd:' .. other)
      local window, nano = string.match(said or '', '^(%S+) (%d+)$')
      if window == a.w then redis.call('HINCRBY', a.account, 'o', nano)
      elseif said then redis.call('HDEL', a.account, 'd:' .. other) end
    end
  end
  return redis.call('HGET', a.account, 'o'), many
end

-- ARGV: which database has the records, and of each scope what it has, around when, and by how much
-- the count is too high. The last of KEYS is the set of databases.
local function correct()
  local database, databases = ARGV[2], KEYS[#KEYS]
  if database ~= '' then heard_of(databases, database) end
  local reply, at = {}, 3
  for i = 1, (#KEYS - 1) / 3 do
    local a = open(3 * i - 2, at)
    local on_record, around, excess = string.match(ARGV[at + 1], '^(%S+) (%S+) (%S+)$')
    local many = 1
    reply[#reply + 1] = a.s
    if a.kind ~= '' and window_around(a.kind, tonumber(around)) == a.starts then
      on_record, many = recorded(a, databases, database, on_record)
      if tonumber(on_record) > tonumber(a.s) then
        if a.anew then save(a) end
        redis.call('HSET', a.account, 's', on_record)
        save(a)
        a.s = on_record
      elseif excess ~= '0' and many == 1 then
        -- Every process finds it: one lowers the count, and the others wait for its next look.
        local last = redis.call('HGET', a.account, 'x')
        if not last or math.abs(now - tonumber(last)) > 30 then
          redis.call('HSET', a.account, 'x', text(now))
          redis.call('HINCRBY', a.account, 's', '-' .. excess)
          a.s = redis.call('HGET', a.account, 's')
        end
      end
    end
    reply[#reply + 1] = a.s
    reply[#reply + 1] = on_record
    reply[#reply + 1] = whole(many)
    at = at + 2
  end
  return reply
end

-- ARGV: a process's name, for how many seconds it is there, and whether it has no database. KEYS: the
-- sets of processes and of databases.
local function beat()
  if ARGV[4] == '1' then heard_of(KEYS[2], '-') end
  local seconds = tonumber(ARGV[3])
  if seconds > 0 then redis.call('ZADD', KEYS[1], text(now + seconds), ARGV[2])
  else redis.call('ZREM', KEYS[1], ARGV[2]) end
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now))
  -- Of a clock that was ahead.
  redis.call('ZREMRANGEBYSCORE', KEYS[1], text(now + 3600), '+inf')
  redis.call('EXPIRE', KEYS[1], 3600)
  return {whole(redis.call('ZCARD', KEYS[1]))}
end

local calls = {
  admit = admit, ['end'] = finish, renew = renew, status = status, carry = carry,
  correct = correct, beat = beat,
}
-- One text, a line for each: it is read in one step where an array is read word by word.
return table.concat(calls[ARGV[1]](), '\n')
