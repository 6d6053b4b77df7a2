# For Homebrew, which installs from a tap. From a clone of the source, in its root folder:
#
#   brew tap-new me/calib
#   cp scripts/homebrew/calib-cleanup.rb "$(brew --repository me/calib)/Formula"
#   HOMEBREW_CALIB_CLEANUP_SOURCE=file://$PWD brew install --HEAD me/calib/calib-cleanup
class CalibCleanup < Formula
  desc "Deletes expired calibration sessions, records and images in one pass"
  homepage "https://calib-cleanup.example"
  head ENV.fetch("HOMEBREW_CALIB_CLEANUP_SOURCE", "https://calib-cleanup.example/calib-cleanup.git"),
       using: :git, branch: "main"

  depends_on "cli11" => :build
  depends_on "cmake" => :build
  depends_on "ninja" => :build
  depends_on "nlohmann-json" => :build
  depends_on "tomlplusplus" => :build
  depends_on "fmt"
  depends_on "libpq"
  depends_on "sqlitecpp"

  def install
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DBUILD_TESTING=OFF", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/calib-cleanup --version") unless head?
    mkdir "uploads"
    # Status 3: there is no database, and nothing is made.
    assert_match "there is no database", shell_output("#{bin}/calib-cleanup --hours 24 2>&1", 3)
  end
end
