#include "uploads/disk_usage.hpp"

namespace calib {

void TreeAccount::add_directory(std::uint64_t allocated_bytes) {
  result_.usage.allocated_bytes += allocated_bytes;
  result_.exclusive_bytes += allocated_bytes;
}

void TreeAccount::add_file(const Status& status) {
  ++result_.usage.files;
  // Where its other names went a moment ago, the last one looks like the only one.
  if (status.links > 1 || shared_.contains(status.id)) {
    links_.add(status.id.device, status.id.inode, status.links, status.allocated_bytes, fate_);
    if (!shared_.insert(status.id).second) return;
  } else {
    result_.exclusive_bytes += status.allocated_bytes;
  }
  result_.usage.allocated_bytes += status.allocated_bytes;
  if (status.has_content()) result_.usage.apparent_bytes += status.size;
}

void TreeAccount::take_back(const Status& status) {
  --result_.usage.files;
  // Others of its names went, too, and it is not freed: see HardLinks.
  if (shared_.contains(status.id)) return;
  result_.exclusive_bytes -= status.allocated_bytes;
  result_.usage.allocated_bytes -= status.allocated_bytes;
  if (status.has_content()) result_.usage.apparent_bytes -= status.size;
}

}  // namespace calib
