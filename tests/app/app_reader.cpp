// Reads what the app reads, for tests/app/reading_test.py, which reads it with Python's own
// libraries. Each line of the input is a kind, `env` or `url`, a blank and the bytes, in
// hexadecimal; each line of the output `value` and the bytes of what was read, `nothing`, or
// `refused` and the message. Relative URLs start at the working directory.
#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>

#include "webapp/database_location.hpp"
#include "webapp/dotenv.hpp"

namespace {

using namespace calib;

std::string from_hexadecimal(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string value(std::string_view bytes) {
  std::string line = "value ";
  for (const char byte : bytes) line += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return line;
}

std::string answer(std::string_view kind, const std::string& bytes) {
  if (kind == "env") {
    const auto url = dotenv_value(bytes, "DATABASE_URL");
    return url ? value(*url) : "nothing";
  }
  const auto app_dir = std::filesystem::current_path();
  return value(parse_database_url(bytes, app_dir, "DATABASE_URL").path.string());
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string said;
    try {
      said = answer(line.substr(0, 3), from_hexadecimal(std::string_view(line).substr(4)));
    } catch (const DotenvError& error) {
      said = fmt::format("refused {}", error.what());
    } catch (const DatabaseLocationError& error) {
      said = fmt::format("refused {}", error.what());
    }
    std::cout << said << '\n';
  }
}
