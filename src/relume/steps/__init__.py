"""The mathematics of one photo: pure functions on arrays of any library with the array API standard."""
