--[[
  relume in darktable (5.6 or later, built with AI): makes dark photographs bright.

  Adds a panel to the lighttable. Each selected photo goes through darktable's own pipeline, is judged as a
  whole, enhanced tile by tile, and saved beside its source as a TIFF of 16 bits, grouped with it.

  Install: preferences -> AI -> import from file, and choose the .dtmodel that came with this script; put the
  script into the folder `lua` of darktable's configuration and require it in `luarc`.

  The pixels are darktable's working profile with sRGB's curve, as its own models take them.
]]

local dt = require "darktable"

local MODEL = {
  id = "@id@",
  name = "@name@",
  halo = tonumber("@halo@"), -- pixels around a tile that change what becomes of it
}

local TILE = tonumber("@tile@")
local EXPOSURE, HIGHLIGHT_GUARD, COLOUR_GUARD = tonumber("@exposure@"), tonumber("@highlight_guard@"), tonumber("@colour_guard@")

local automatic = dt.new_widget("check_button") {
  label = "as much as it needs", value = true, tooltip = "otherwise by the strength below",
}
local strength = dt.new_widget("slider") {
  label = "strength", soft_min = 0, soft_max = 1, hard_min = 0, hard_max = 1, step = 0.05, digits = 2, value = 1,
}
local denoise = dt.new_widget("slider") {
  label = "denoise", soft_min = 0, soft_max = 1, hard_min = 0, hard_max = 1, step = 0.05, digits = 2,
  value = tonumber("@denoise@"),
}

-- A tensor of one row: of numbers that a graph takes beside pictures.
local function row(shape, values)
  local tensor = dt.ai.create_tensor(shape)
  for index, value in ipairs(values) do
    local where = { index - 1 }
    if #shape == 2 then where = { 0, index - 1 } end
    tensor:set(where, value)
  end
  return tensor
end

-- Where tiles start along a side, and what they keep and see: first, length, outer first, outer length.
local function spans(length)
  local found = {}
  for first = 0, length - 1, TILE do
    local last = math.min(first + TILE, length)
    local outer = math.max(0, first - MODEL.halo)
    local outer_last = math.min(last + MODEL.halo, length)
    found[#found + 1] = { first = first, length = last - first, outer = outer, seen = outer_last - outer }
  end
  return found
end

-- What values were rounded to before the pipeline; 0 where that does not show.
local function rounding(image)
  local suffix = (image.filename:match("%.(%w+)$") or ""):lower()
  return (suffix == "jpg" or suffix == "jpeg") and 1 / 255 or 0
end

-- A path beside the source that is not taken yet.
local function free_path(image)
  local base = image.path .. "/" .. (image.filename:match("(.+)%.%w+$") or image.filename) .. "_relume"
  local path, number = base .. ".tif", 1
  while true do
    local taken = io.open(path, "rb")
    if not taken then return path end
    taken:close()
    path, number = string.format("%s_%d.tif", base, number), number + 1
  end
end

-- Enhance one picture; nil where it needs nothing or where the job was cancelled, and why.
local function enhanced(passes, picture, step, job, done, share)
  local _, _, height, width = table.unpack(picture:shape())
  local controls = row({ 5 }, {
    automatic.value and -1 or strength.value, denoise.value, EXPOSURE, HIGHLIGHT_GUARD, COLOUR_GUARD,
  })
  local told = { passes.global:run(picture, controls) }
  if told[#told]:get({ 0 }) == 0 then return nil, "needs nothing" end
  local steps = row({ 1, 1 }, { step })
  local result = dt.ai.create_tensor({ 1, 3, height, width })
  local rows, columns = spans(height), spans(width)
  for number, down in ipairs(rows) do
    for _, across in ipairs(columns) do
      if not job.valid then return nil, "cancelled" end
      local tile = picture:crop(down.outer, across.outer, down.seen, across.seen)
      local place = row({ 1, 4 }, { down.outer, across.outer, height, width })
      local bright = passes.tile:run(tile, place, steps, table.unpack(told))
      local kept = bright:crop(down.first - down.outer, across.first - across.outer, down.length, across.length)
      result:paste(kept, down.first, across.first)
    end
    job.percent = done + share * number / #rows
  end
  return result
end

local function enhance(passes, image, job, done, share)
  local picture = dt.ai.load_image(image)
  picture:linear_to_srgb()
  local result, reason = enhanced(passes, picture, rounding(image), job, done, share)
  if not result then
    dt.print(string.format("%s: %s", image.filename, reason))
    return
  end
  result:srgb_to_linear()
  local path = free_path(image)
  result:save_tiff(path, 16, image)
  local imported = dt.database.import(path)
  if imported then imported:group_with(image) end
end

local function enhance_selected()
  if not dt.ai then
    dt.print("this darktable has no AI: relume needs 5.6 or later, built with it")
    return
  end
  local images = dt.gui.selection()
  if #images == 0 then
    dt.print("select at least one photo")
    return
  end
  local loaded, passes = pcall(function()
    return {
      global = dt.ai.load_model(MODEL.id, nil, "global.onnx"),
      tile = dt.ai.load_model(MODEL.id, nil, "local.onnx"),
    }
  end)
  if not loaded then
    dt.print("import " .. MODEL.id .. ".dtmodel in preferences -> AI first: " .. tostring(passes))
    return
  end
  local job = dt.gui.create_job("relume", true, function(cancelled) cancelled.valid = false end)
  for number, image in ipairs(images) do
    if not job.valid then break end
    local fine, problem = pcall(enhance, passes, image, job, (number - 1) / #images, 1 / #images)
    if not fine then dt.print(string.format("%s: %s", image.filename, tostring(problem))) end
  end
  passes.global:close()
  passes.tile:close()
  job.valid = false
end

dt.register_lib(
  MODEL.id, MODEL.name, true, false,
  { [dt.gui.views.lighttable] = { "DT_UI_CONTAINER_PANEL_RIGHT_CENTER", 100 } },
  dt.new_widget("box") {
    orientation = "vertical", automatic, strength, denoise,
    dt.new_widget("button") { label = "enhance selected", clicked_callback = enhance_selected },
  },
  nil, nil
)

return {
  metadata = { name = MODEL.id, purpose = "makes dark photographs bright", author = "relume" },
  destroy = function() end,
}
