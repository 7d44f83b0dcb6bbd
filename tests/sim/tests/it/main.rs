mod plane;
