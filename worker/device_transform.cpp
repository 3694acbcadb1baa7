// Crop and flip are one gather of pixels by number. The number of a pixel's origin is the sum of three: the first pixel
// of its image, where its row begins, and its place in the row. Rows and places depend on little (so many pixels down;
// so many to the right, and mirrored or not), so that each is a row of a small table that the draw chooses. Outside of
// the image either is so large that the sum lies beyond all images: cut to the number behind the last pixel, which
// holds zeros. That is six launches for any batch, of which only the sum, the cut and the gather work on (B, H, W).
//
// Normalisation multiplies and adds in two launches and not one: a fused multiply-add rounds once, and the same job on
// CPU ranks, which round twice (normalisation.cpp), would have other numbers. In float64, for oracles, it is the
// formula step by step.

#include "worker/device_transform.hpp"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "common/error.hpp"
#include "worker/input_transform.hpp"
#include "worker/raw_batch.hpp"

namespace regatta {

struct DeviceTransform::Tensors {
  bool text = false, augmented = false;
  std::int64_t channels = 0, height = 0, width = 0, capacity = 0;  // text: 1, 1, length
  std::int64_t outside = 0;                                        // the number of the pixel of zeros: capacity * H * W
  at::Tensor inputs, targets;

  at::Tensor scale, shift;              // (1, C, 1, 1) float32
  at::Tensor largest, mean, deviation;  // (1, C, 1, 1) float64: 255, ...
  at::Tensor row_table, column_table;   // (draws, H), (draws, W) of the numbers' type
  at::Tensor first_pixels;              // (capacity, 1)
  at::Tensor rows, columns, origins;    // (capacity, H), (capacity, W), (capacity * H * W)
  at::Tensor moved;                     // (capacity * H * W, C) uint8

  std::int64_t pixels() const { return height * width; }

  /// (B, H, W, C) uint8, cropped and mirrored.
  at::Tensor move(const at::Tensor& bytes, const at::Tensor& numbers, std::int64_t count) const {
    const auto draws = [&](RawNumber which) {
      return numbers.narrow(0, static_cast<std::int64_t>(which) * count, count);
    };
    at::Tensor row = rows.narrow(0, 0, count), column = columns.narrow(0, 0, count);
    at::index_select_out(row, row_table, 0, draws(RawNumber::kDown));
    at::index_select_out(column, column_table, 0, draws(RawNumber::kRight));
    row.add_(first_pixels.narrow(0, 0, count));
    at::Tensor origin = origins.narrow(0, 0, count * pixels());
    at::Tensor origin_by_place = origin.view({count, height, width});
    at::add_out(origin_by_place, row.unsqueeze(2), column.unsqueeze(1));
    origin.clamp_max_(outside);
    at::Tensor result = moved.narrow(0, 0, count * pixels());
    at::index_select_out(result, bytes.view({outside + 1, channels}), 0, origin);
    return result.view({count, height, width, channels});
  }

  void normalise(const at::Tensor& images, at::Tensor to) const {
    const at::Tensor from = images.permute({0, 3, 1, 2});
    if (to.scalar_type() == at::kDouble) {
      to.copy_(from);
      to.div_(largest).sub_(mean).div_(deviation);
    } else {
      at::mul_out(to, from, scale);
      to.add_(shift);
    }
  }

  void transform(const at::Tensor& bytes, const at::Tensor& numbers, std::int64_t count) const {
    const c10::NoGradGuard no_grad;
    const at::Tensor input = inputs.narrow(0, 0, count), target = targets.narrow(0, 0, count);
    if (text) {
      const at::Tensor classes = bytes.narrow(0, 0, count * (width + 1)).view({count, width + 1});
      input.copy_(classes.narrow(1, 0, width));
      target.copy_(classes.narrow(1, 1, width));
      return;
    }
    target.copy_(numbers.narrow(0, static_cast<std::int64_t>(RawNumber::kLabel) * count, count));
    const std::int64_t size = pixels() * channels;
    normalise(augmented ? move(bytes, numbers, count)
                        : bytes.narrow(0, 0, count * size).view({count, height, width, channels}),
              input);
  }
};

namespace {

template <class T>
at::Tensor upload(Device& device, const std::vector<T>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  const at::Tensor host = device.host_memory(count, c10::CppTypeToScalarType<T>::value);
  at::Tensor made = device.memory(count, host.scalar_type());
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<T>());
  device.copy(Stream::kCompute, made, host);
  return made;
}

at::Tensor upload_numbers(Device& device, const std::vector<std::int64_t>& values, at::ScalarType type) {
  if (type == at::kLong) return upload(device, values);
  return upload(device, std::vector<std::int32_t>(values.begin(), values.end()));
}

/// By row of the image, `most` pixels up to `most` down: where it comes from.
std::vector<std::int64_t> origins_of_rows(std::int64_t most, std::int64_t height, std::int64_t width,
                                          std::int64_t outside) {
  std::vector<std::int64_t> table;
  for (std::int64_t down = -most; down <= most; ++down)
    for (std::int64_t y = 0; y < height; ++y) {
      const std::int64_t from = y + down;
      table.push_back(from >= 0 && from < height ? from * width : outside);
    }
  return table;
}

std::vector<std::int64_t> origins_of_columns(std::int64_t most, std::int64_t width, std::int64_t outside) {
  std::vector<std::int64_t> table;
  for (std::int64_t right = -most; right <= most; ++right)
    for (const bool mirrored : {false, true})
      for (std::int64_t x = 0; x < width; ++x) {
        const std::int64_t from = (mirrored ? width - 1 - x : x) + right;
        table.push_back(from >= 0 && from < width ? from : outside);
      }
  return table;
}

}  // namespace

DeviceTransform::DeviceTransform(const Plan& plan, Split split, std::int64_t capacity, Device& device)
    : device_(device) {
  const DatasetIndex& index = plan.dataset;
  const InputTransform host(plan, split);
  auto made = std::make_shared<Tensors>();
  Tensors& t = *made;
  t.text = index.is_text();
  t.augmented = host.augmentation.active();
  t.channels = index.channels();
  t.height = t.text ? 1 : index.sample_shape[1];
  t.width = index.sample_shape.back();
  t.capacity = capacity;
  t.outside = capacity * t.pixels();
  t.targets = device.memory(capacity * index.targets_per_sample(), at::kLong);
  if (t.text) {
    t.inputs = device.memory(capacity * t.width, at::kLong).view({capacity, t.width});
    t.targets = t.targets.view({capacity, t.width});
    tensors_ = std::move(made);
    return;
  }

  const bool fp64 = plan.training.train.precision == Precision::kFp64;
  const at::Tensor inputs = device.memory(t.outside * t.channels, fp64 ? at::kDouble : at::kFloat);
  const bool interleaved = !fp64 && t.channels > 1;  // one channel is the plain layout as well: see batch_buffer.cpp
  t.inputs = interleaved ? inputs.view({capacity, t.height, t.width, t.channels}).permute({0, 3, 1, 2})
                         : inputs.view({capacity, t.channels, t.height, t.width});
  const std::vector<std::int64_t> by_channel{1, t.channels, 1, 1};
  if (fp64) {
    t.largest = upload(device, std::vector<double>(index.mean.size(), 255)).view(by_channel);
    t.mean = upload(device, index.mean).view(by_channel);
    t.deviation = upload(device, index.deviation).view(by_channel);
  } else {
    const auto scale = host.normalisation.scale(), shift = host.normalisation.shift();
    t.scale = upload(device, std::vector<float>(scale.begin(), scale.end())).view(by_channel);
    t.shift = upload(device, std::vector<float>(shift.begin(), shift.end())).view(by_channel);
  }

  if (t.augmented) {
    const bool small = 3 * (t.outside + 1) <= std::numeric_limits<std::int32_t>::max();  // a sum of three below that
    const at::ScalarType type = small ? at::kInt : at::kLong;
    const std::int64_t down = host.augmentation.most_down(), right = host.augmentation.most_right();
    t.row_table =
        upload_numbers(device, origins_of_rows(down, t.height, t.width, t.outside), type).view({-1, t.height});
    t.column_table = upload_numbers(device, origins_of_columns(right, t.width, t.outside), type).view({-1, t.width});
    std::vector<std::int64_t> first_pixels;
    for (std::int64_t i = 0; i < capacity; ++i) first_pixels.push_back(i * t.pixels());
    t.first_pixels = upload_numbers(device, first_pixels, type).view({capacity, 1});
    t.rows = device.memory(capacity * t.height, type).view({capacity, t.height});
    t.columns = device.memory(capacity * t.width, type).view({capacity, t.width});
    t.origins = device.memory(t.outside, type);
    t.moved = device.memory(t.outside * t.channels, at::kByte).view({t.outside, t.channels});
  }
  tensors_ = std::move(made);
}

at::Tensor DeviceTransform::make_bytes() const {
  const Tensors& t = *tensors_;
  if (t.text) return device_.memory(t.capacity * (t.width + 1), at::kByte);
  at::Tensor bytes = device_.memory((t.outside + 1) * t.channels, at::kByte);
  device_.launch(Stream::kCompute, [last = bytes.narrow(0, t.outside * t.channels, t.channels)] {
    const c10::NoGradGuard no_grad;
    last.zero_();
  });
  return bytes;
}

at::Tensor DeviceTransform::make_numbers() const {
  return device_.memory(tensors_->text ? 0 : kRawNumbers * tensors_->capacity, at::kLong);
}

void DeviceTransform::launch(const at::Tensor& bytes, const at::Tensor& numbers, std::int64_t count) {
  device_.launch(Stream::kCompute,
                 [tensors = tensors_, bytes, numbers, count] { tensors->transform(bytes, numbers, count); });
}

const at::Tensor& DeviceTransform::inputs() const {
  return tensors_->inputs;
}

const at::Tensor& DeviceTransform::targets() const {
  return tensors_->targets;
}

}  // namespace regatta
