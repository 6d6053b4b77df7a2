#include "model/session.hpp"

namespace calib {

std::vector<OwnerIndex> owners_of(std::span<const Refusal> refusals) {
  std::vector<OwnerIndex> owners;
  owners.reserve(refusals.size());
  for (const auto& refusal : refusals) owners.push_back(refusal.owner);
  return owners;
}

}  // namespace calib
