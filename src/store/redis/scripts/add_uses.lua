-- Adds to counters: '<count> <first> <last>' each. KEYS: the counters. ARGV: count, first and last of
-- what is added to each of them. What cannot be read begins anew.
for n = 1, #KEYS do
  local count, first, last = tonumber(ARGV[3 * n - 2]), tonumber(ARGV[3 * n - 1]), tonumber(ARGV[3 * n])
  local old = redis.pcall('GET', KEYS[n])
  if type(old) == 'string' then
    local was_count, was_first, was_last = string.match(old, '^(%d+) (%d+) (%d+)$')
    if was_count and #was_count <= 15 and #was_first <= 15 and #was_last <= 15 then
      count = count + tonumber(was_count)
      first, last = math.min(first, tonumber(was_first)), math.max(last, tonumber(was_last))
    end
  end
  redis.call('SET', KEYS[n], string.format('%.0f %.0f %.0f', count, first, last))
end
return {'yes'}
