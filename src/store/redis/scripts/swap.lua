-- Writes a value if what is there is what was found. KEYS: 1 the value.
-- ARGV: 1 whether anything was found, 2 what, 3 the new value.
local there = redis.call('GET', KEYS[1])
if ARGV[1] == '0' then
  if there then return {'no'} end
elseif there ~= ARGV[2] then
  return {'no'}
end
redis.call('SET', KEYS[1], ARGV[3])
return {'yes'}
