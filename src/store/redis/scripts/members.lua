-- Members of a set by (score, member), from a place that need not exist any more.
--
-- KEYS: 1 the set. ARGV: 1 'up' or 'down', 2 the highest score ('up'), 3 score and 4 member of the
-- place ('' and '': from the end), 5 limit.

-- Byte by byte: the comparison of strings depends on the server's locale.
local function compare(one, two)
  for n = 1, math.min(#one, #two) do
    local a, b = string.byte(one, n), string.byte(two, n)
    if a ~= b then return a - b end
  end
  return #one - #two
end

-- How many members are below the place, or at it as well.
local function position(inclusive)
  local low = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[3])
  local high = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[3])
  while low < high do
    local middle = math.floor((low + high) / 2)
    local order = compare(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[4])
    if order < 0 or (inclusive and order == 0) then low = middle + 1 else high = middle end
  end
  return low
end

local limit = tonumber(ARGV[5])
local first, last
if ARGV[1] == 'up' then
  first = 0
  if ARGV[3] ~= '' then first = position(true) end
  last = math.min(first + limit, redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[2])) - 1
else
  last = redis.call('ZCARD', KEYS[1]) - 1
  if ARGV[3] ~= '' then last = position(false) - 1 end
  first = math.max(0, last - limit + 1)
end
if last < first then return {} end
return redis.call('ZRANGE', KEYS[1], first, last, 'WITHSCORES')
