"""Cell-type classifiers without Flower: labels, class weights, figures and the unknown answer."""
