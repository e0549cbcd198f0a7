-- The processes that share a server, and what operators tell them. Times are seconds by the clock of
-- the server, in texts; all that is written expires with the last process.
--
-- KEYS[1]  a hash: by process, what it says of itself
-- KEYS[2]  a sorted set: processes by when each was last heard of
-- KEYS[3]  a hash: by target, until when it is drained, a space, and who wants it so
-- KEYS[4]  a sorted set: requests that are to be cancelled, by when that was asked for
-- ARGV[1]  what is asked
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local clock = string.format('%.6f', now)
local what = ARGV[1]

-- beat, process, what it says, seconds until one is forgotten, seconds that a cancellation lasts
-- Answers the time, how many fields of drains follow, these, and the cancellations with their times.
if what == 'beat' then
    redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
    redis.call('ZADD', KEYS[2], clock, ARGV[2])
    local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
    for _, process in ipairs(old) do
        redis.call('ZREM', KEYS[2], process)
        redis.call('HDEL', KEYS[1], process)
    end
    redis.call('EXPIRE', KEYS[1], 3600)
    redis.call('EXPIRE', KEYS[2], 3600)
    local drains = redis.call('HGETALL', KEYS[3])
    local cancelled = redis.call(
        'ZRANGEBYSCORE', KEYS[4], now - tonumber(ARGV[5]), '+inf', 'WITHSCORES')
    local answer = {clock, tostring(#drains)}
    for _, each in ipairs(drains) do answer[#answer + 1] = each end
    for _, each in ipairs(cancelled) do answer[#answer + 1] = each end
    return answer
end

-- leave, process
if what == 'leave' then
    redis.call('HDEL', KEYS[1], ARGV[2])
    redis.call('ZREM', KEYS[2], ARGV[2])
    return {clock}
end

-- list, seconds for which one is remembered
-- Answers the time, how many fields of drains follow, these, and of each process when it was heard
-- of and what it said.
if what == 'list' then
    local drains = redis.call('HGETALL', KEYS[3])
    local answer = {clock, tostring(#drains)}
    for _, each in ipairs(drains) do answer[#answer + 1] = each end
    local known = redis.call(
        'ZRANGEBYSCORE', KEYS[2], now - tonumber(ARGV[2]), '+inf', 'WITHSCORES')
    for at = 1, #known, 2 do
        local said = redis.call('HGET', KEYS[1], known[at])
        if said then
            answer[#answer + 1] = known[at + 1]
            answer[#answer + 1] = said
        end
    end
    return answer
end

-- drain, target, seconds, who wants it so; without seconds the drain ends
-- Answers the time, and what was there before.
if what == 'drain' then
    local before = redis.call('HGET', KEYS[3], ARGV[2])
    local seconds = tonumber(ARGV[3])
    if seconds then
        local value = string.format('%.6f', now + seconds) .. ' ' .. ARGV[4]
        redis.call('HSET', KEYS[3], ARGV[2], value)
        -- Whatever is longer over than a drain can last is forgotten with all of them.
        redis.call('EXPIRE', KEYS[3], 8 * 86400)
    else
        redis.call('HDEL', KEYS[3], ARGV[2])
    end
    return {clock, before or ''}
end

-- cancel, request
if what == 'cancel' then
    redis.call('ZADD', KEYS[4], clock, ARGV[2])
    redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 600)
    redis.call('EXPIRE', KEYS[4], 600)
    return {clock}
end
return redis.error_reply('not understood: ' .. what)
